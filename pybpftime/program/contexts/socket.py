"""The socket behind __sk_buff.sk: a struct bpf_sock of which programs load the common part.

In a test run of the kernel it is a socket without state, whose addresses are those of the packet.
"""

from __future__ import annotations

import struct

from pybpftime.errors import InternalError
from pybpftime.machine import Machine
from pybpftime.program.contexts.region import TranslatedRegion
from pybpftime.program.types import FieldKind
from pybpftime.program.types.layouts import SK_BUFF, SOCK_COMMON

AF_INET, AF_INET6 = 2, 10
_ETH_P_IP, _ETH_P_IPV6 = b"\x08\x00", b"\x86\xdd"
_NETWORK = 14  # where the IP header begins in a frame
_TCP_CLOSE = 7
_NO_QUEUE = 0xFFFF_FFFF

_FAMILY, _REMOTE_IP4, _LOCAL_IP4, _REMOTE_IP6, _LOCAL_IP6, _REMOTE_PORT, _LOCAL_PORT = (
    SK_BUFF.field(name).offset
    for name in ("family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port")
)


def write_addresses(image: bytearray, protocol: bytes, frame: bytes) -> None:
    """Set family and addresses in an image of struct __sk_buff: the source of the packet is the local address.

    A frame too short for its IP header has none (a test run of the kernel refuses such a frame).
    """
    if protocol == _ETH_P_IP and len(frame) >= _NETWORK + 20:
        image[_FAMILY] = AF_INET
        image[_LOCAL_IP4 : _LOCAL_IP4 + 4] = frame[_NETWORK + 12 : _NETWORK + 16]
        image[_REMOTE_IP4 : _REMOTE_IP4 + 4] = frame[_NETWORK + 16 : _NETWORK + 20]
    elif protocol == _ETH_P_IPV6 and len(frame) >= _NETWORK + 40:
        image[_FAMILY] = AF_INET6
        image[_LOCAL_IP6 : _LOCAL_IP6 + 16] = frame[_NETWORK + 8 : _NETWORK + 24]
        image[_REMOTE_IP6 : _REMOTE_IP6 + 16] = frame[_NETWORK + 24 : _NETWORK + 40]


def map_socket(machine: Machine, image: bytearray) -> int:
    """Map the socket of an image of struct __sk_buff; returns its address."""
    (family,) = struct.unpack_from("<I", image, _FAMILY)
    (remote_port,) = struct.unpack_from("<I", image, _REMOTE_PORT)
    (local_port,) = struct.unpack_from("<I", image, _LOCAL_PORT)
    content = bytearray(SOCK_COMMON.size)
    for name, value in (
        ("family", struct.pack("<I", family)),
        ("src_ip4", image[_LOCAL_IP4 : _LOCAL_IP4 + 4]),
        ("src_ip6", image[_LOCAL_IP6 : _LOCAL_IP6 + 16]),
        ("src_port", struct.pack("<I", local_port)),
        ("dst_port", struct.pack("<I", remote_port >> 16)),
        ("dst_ip4", image[_REMOTE_IP4 : _REMOTE_IP4 + 4]),
        ("dst_ip6", image[_REMOTE_IP6 : _REMOTE_IP6 + 16]),
        ("state", struct.pack("<I", _TCP_CLOSE)),
        ("rx_queue_mapping", struct.pack("<I", _NO_QUEUE)),
    ):
        offset = SOCK_COMMON.field(name).offset
        content[offset : offset + len(value)] = value
    region = TranslatedRegion(SOCK_COMMON, content, _no_addresses)
    return machine.memory.map(region, transient=True)


def _no_addresses(kind: FieldKind) -> int:
    raise InternalError(f"no field here holds a {kind} address")
