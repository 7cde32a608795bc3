"""What the two bytes behind the addresses of an Ethernet frame mean.

EtherTypes are as `protocol` fields have them: the bytes of the packet read as a little-endian number.
"""

from __future__ import annotations

ETH_P_8021Q, ETH_P_8021AD = 0x0081, 0xA888
ETH_P_IP, ETH_P_IPV6 = 0x0008, 0xDD86
ETH_P_802_3, ETH_P_802_2 = 0x0100, 0x0400
VLAN_TYPES = (ETH_P_8021Q, ETH_P_8021AD)
ETH_P_802_3_MIN = 0x600  # in network order: below it the two bytes are a length


def frame_protocol(ether_type: bytes, payload: bytes) -> int:
    """`skb->protocol` of a frame (eth_type_trans, vlan_set_encap_proto).

    `ether_type` are the two bytes in question, `payload` the next two, or what there is of them.  A length stands for
    a frame of IEEE 802.3, whose payload begins with 0xffff if it is one of Novell's, without an 802.2 header.
    """
    if int.from_bytes(ether_type, "big") >= ETH_P_802_3_MIN:
        return int.from_bytes(ether_type, "little")
    return ETH_P_802_3 if payload == b"\xff\xff" else ETH_P_802_2
