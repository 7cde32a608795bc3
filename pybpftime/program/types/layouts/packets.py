"""Packets: struct xdp_md, struct __sk_buff and struct bpf_flow_keys."""

from __future__ import annotations

from pybpftime.program.types.layout import ContextLayout, Field, FieldKind
from pybpftime.program.types.layouts.fields import ANY, NARROW, WHOLE, WIDE, address

# --- XDP --------------------------------------------------------------------------------------------------------------

XDP_MD = ContextLayout(
    "xdp_md",
    24,
    (
        Field("data", 0, 4, FieldKind.PACKET, loads=WHOLE),
        Field("data_end", 4, 4, FieldKind.PACKET_END, loads=WHOLE),
        Field("data_meta", 8, 4, FieldKind.PACKET_META, loads=WHOLE),
        Field("ingress_ifindex", 12, 4, loads=WHOLE),
        Field("rx_queue_index", 16, 4, loads=WHOLE),
        Field("egress_ifindex", 20, 4),
    ),
)
XDP_MD_DEVMAP = XDP_MD.allowing(loads={"egress_ifindex": WHOLE})

# --- struct __sk_buff -------------------------------------------------------------------------------------------------

# All fields that some program type may load; the types below take away and add.
SK_BUFF = ContextLayout(
    "__sk_buff",
    192,
    (
        Field("len", 0, 4, loads=NARROW),
        Field("pkt_type", 4, 4, loads=NARROW, width=1),
        Field("mark", 8, 4, loads=NARROW),
        Field("queue_mapping", 12, 4, loads=NARROW, width=2),
        Field("protocol", 16, 4, loads=NARROW, width=2),
        Field("vlan_present", 20, 4, loads=NARROW),
        Field("vlan_tci", 24, 4, loads=NARROW, width=2),
        Field("vlan_proto", 28, 4, loads=NARROW, width=2),
        Field("priority", 32, 4, loads=NARROW),
        Field("ingress_ifindex", 36, 4, loads=NARROW),
        Field("ifindex", 40, 4, loads=NARROW),
        Field("tc_index", 44, 4, loads=NARROW, width=2),
        Field("cb", 48, 20, loads=ANY),
        Field("hash", 68, 4, loads=NARROW),
        Field("tc_classid", 72, 4, loads=NARROW, width=2),
        Field("data", 76, 4, FieldKind.PACKET, loads=WHOLE),
        Field("data_end", 80, 4, FieldKind.PACKET_END, loads=WHOLE),
        Field("napi_id", 84, 4, loads=NARROW),
        Field("family", 88, 4, loads=NARROW, width=2),
        Field("remote_ip4", 92, 4, loads=WHOLE),
        Field("local_ip4", 96, 4, loads=WHOLE),
        Field("remote_ip6", 100, 16, loads=WHOLE),
        Field("local_ip6", 116, 16, loads=WHOLE),
        Field("remote_port", 132, 4, loads=NARROW),
        Field("local_port", 136, 4, loads=NARROW, width=2),
        Field("data_meta", 140, 4, FieldKind.PACKET_META, loads=WHOLE),
        Field("flow_keys", 144, 8, FieldKind.FLOW_KEYS),
        Field("tstamp", 152, 8, loads=WIDE),
        Field("wire_len", 160, 4, loads=NARROW),
        Field("gso_segs", 164, 4, loads=NARROW, width=2),
        address("sk", 168, FieldKind.SOCK_COMMON_OR_NULL),
        Field("gso_size", 176, 4, loads=NARROW, width=2),
        Field("tstamp_type", 180, 1, loads=(1,)),
        Field("hwtstamp", 184, 8, loads=WIDE),
    ),
)
_SOCKET_FIELDS = ("family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port")

SK_BUFF_SCHED_CLS = SK_BUFF.allowing(
    unreadable=_SOCKET_FIELDS,
    writable=("mark", "tc_index", "priority", "tc_classid", "cb", "tstamp", "queue_mapping"),
)
SK_BUFF_SOCKET_FILTER = SK_BUFF.allowing(
    unreadable=(
        *("tc_classid", "data", "data_meta", "data_end", *_SOCKET_FIELDS),
        *("tstamp", "tstamp_type", "wire_len", "hwtstamp"),
    ),
    writable=("cb",),
)
SK_BUFF_CGROUP_SKB = SK_BUFF.allowing(
    unreadable=("tc_classid", "data_meta", "wire_len", "tstamp_type"),
    writable=("mark", "priority", "cb", "tstamp"),
)
SK_BUFF_LWT = SK_BUFF.allowing(
    unreadable=("tc_classid", *_SOCKET_FIELDS, "data_meta", "tstamp", "tstamp_type", "wire_len", "hwtstamp"),
    writable=("mark", "priority", "cb"),
)
SK_BUFF_SK_SKB = SK_BUFF.allowing(
    unreadable=("tc_classid", "data_meta", "tstamp", "tstamp_type", "wire_len", "hwtstamp", "mark"),
    writable=("tc_index", "priority"),
)
_DISSECTED = ("data", "data_end")
SK_BUFF_FLOW_DISSECTOR = SK_BUFF.allowing(
    unreadable=tuple(field.name for field in SK_BUFF.fields if field.name not in _DISSECTED),
).allowing(loads={"flow_keys": WIDE})

# --- struct bpf_flow_keys, behind __sk_buff.flow_keys -----------------------------------------------------------------

FLOW_KEYS = ContextLayout(
    "bpf_flow_keys",
    56,
    (
        Field("nhoff", 0, 2),
        Field("thoff", 2, 2),
        Field("addr_proto", 4, 2),
        Field("is_frag", 6, 1),
        Field("is_first_frag", 7, 1),
        Field("is_encap", 8, 1),
        Field("ip_proto", 9, 1),
        Field("n_proto", 10, 2),
        Field("sport", 12, 2),
        Field("dport", 14, 2),
        # A union: ipv4_src and ipv4_dst are the first 8 of these 32 bytes, or all are ipv6_src and ipv6_dst.
        Field("addresses", 16, 32),
        Field("flags", 48, 4),
        Field("flow_label", 52, 4),
    ),
    plain=True,
)
