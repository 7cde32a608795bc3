"""Control groups: devices, sysctls and socket options."""

from __future__ import annotations

from collections.abc import Mapping

from pybpftime.program.types.layout import ContextLayout, Field, FieldKind
from pybpftime.program.types.layouts.fields import NARROW, WHOLE, address
from pybpftime.uapi import AttachType

CGROUP_DEVICE = ContextLayout(
    "bpf_cgroup_dev_ctx",
    12,
    (
        Field("access_type", 0, 4, loads=NARROW),
        Field("major", 4, 4, loads=WHOLE),
        Field("minor", 8, 4, loads=WHOLE),
    ),
)

SYSCTL = ContextLayout(
    "bpf_sysctl",
    8,
    (
        Field("write", 0, 4, loads=NARROW),
        Field("file_pos", 4, 4, loads=NARROW, stores=WHOLE),
    ),
)

# All fields that some attach type may load.
_SOCKOPT = ContextLayout(
    "bpf_sockopt",
    40,
    (
        address("sk", 0, FieldKind.SOCKET),
        address("optval", 8, FieldKind.PACKET),
        address("optval_end", 16, FieldKind.PACKET_END),
        Field("level", 24, 4, loads=WHOLE),
        Field("optname", 28, 4, loads=WHOLE),
        Field("optlen", 32, 4, loads=WHOLE),
        Field("retval", 36, 4, loads=WHOLE),
    ),
)
# What every attach type allows.
SOCKOPT = _SOCKOPT.allowing(unreadable=("retval",), writable=("optlen",))
SOCKOPT_AT: Mapping[AttachType, ContextLayout] = {
    AttachType.BPF_CGROUP_GETSOCKOPT: _SOCKOPT.allowing(writable=("optlen", "retval")),
    AttachType.BPF_CGROUP_SETSOCKOPT: _SOCKOPT.allowing(
        unreadable=("retval",), writable=("level", "optname", "optlen")
    ),
}
