"""bpf_csum_*, bpf_l3_csum_replace, bpf_l4_csum_replace."""

from __future__ import annotations

from pybpftime.helpers.errors import EACCES, EFAULT, EINVAL, ENOTSUPP
from pybpftime.helpers.internet_checksum import (
    MASK16,
    csum_add,
    csum_fold,
    csum_from32to16,
    csum_partial,
    csum_sub,
    replace2,
    replace4,
    replace_by_difference,
)
from pybpftime.helpers.packet_access import (
    CHECKSUM_COMPLETE,
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    PacketBuffer,
)
from pybpftime.helpers.registry import implements
from pybpftime.isa.encoding import MASK32
from pybpftime.machine import Machine

FIELD_MASK = 0xF  # BPF_F_HDR_FIELD_MASK
PSEUDO_HDR = 1 << 4  # BPF_F_PSEUDO_HDR
MARK_MANGLED_0 = 1 << 5  # BPF_F_MARK_MANGLED_0
MARK_ENFORCE = 1 << 6  # BPF_F_MARK_ENFORCE
IPV6 = 1 << 7  # BPF_F_IPV6
MANGLED_0 = 0xFFFF  # CSUM_MANGLED_0

LEVEL_QUERY, LEVEL_INC, LEVEL_DEC, LEVEL_RESET = range(4)  # enum BPF_CSUM_LEVEL_*
MAX_LEVEL = 3  # SKB_MAX_CSUM_LEVEL


@implements("bpf_csum_diff")
def csum_diff(machine: Machine, old: bytes | None, new: bytes | None, seed: int) -> int:
    """Since 6.13 the result is folded to 16 bits on every architecture, and the sizes have no limit."""
    old, new, seed = old or b"", new or b"", seed & MASK32
    if len(old) % 4 or len(new) % 4:
        return -EINVAL
    if old and new:
        total = csum_sub(csum_partial(new, seed), csum_partial(old, 0))
    elif old:
        total = csum_partial(old, seed ^ MASK32) ^ MASK32
    else:
        total = csum_partial(new, seed)
    return csum_from32to16(total)


@implements("bpf_csum_update")
def csum_update(machine: Machine, skb: PacketBuffer, csum: int) -> int:
    if skb.field("ip_summed") != CHECKSUM_COMPLETE:
        return -ENOTSUPP
    total = csum_add(skb.field("csum"), csum & MASK32)
    skb.set_field("csum", total)
    return total


@implements("bpf_csum_level")
def csum_level(machine: Machine, skb: PacketBuffer, level: int) -> int:
    verified = skb.field("ip_summed") == CHECKSUM_UNNECESSARY
    current = skb.field("csum_level")
    if level == LEVEL_QUERY:
        return current if verified else -EACCES
    if level == LEVEL_INC:
        if verified:
            skb.set_field("csum_level", min(current + 1, MAX_LEVEL))
        elif skb.field("ip_summed") == CHECKSUM_NONE:
            skb.set_field("ip_summed", CHECKSUM_UNNECESSARY)
            skb.set_field("csum_level", 0)
    elif level == LEVEL_DEC:
        if verified and current:
            skb.set_field("csum_level", current - 1)
        elif verified:
            skb.set_field("ip_summed", CHECKSUM_NONE)
    elif level == LEVEL_RESET:
        if verified:
            skb.set_field("ip_summed", CHECKSUM_NONE)
            skb.set_field("csum_level", 0)
    else:
        return -EINVAL
    return 0


@implements("bpf_l3_csum_replace")
def l3_csum_replace(machine: Machine, skb: PacketBuffer, offset: int, old: int, new: int, flags: int) -> int:
    if flags & ~FIELD_MASK:
        return -EINVAL
    offset &= MASK32
    if not _is_checksum_place(skb, offset):
        return -EFAULT
    checksum = int.from_bytes(skb.read(offset, 2), "little")
    if flags == 0:
        if old:
            return -EINVAL
        checksum = replace_by_difference(checksum, new & MASK32)
    elif flags == 2:
        checksum = replace2(checksum, old & MASK16, new & MASK16)
    elif flags == 4:
        checksum = replace4(checksum, old & MASK32, new & MASK32)
    else:
        return -EINVAL
    skb.write(offset, checksum.to_bytes(2, "little"))
    return 0


@implements("bpf_l4_csum_replace")
def l4_csum_replace(machine: Machine, skb: PacketBuffer, offset: int, old: int, new: int, flags: int) -> int:
    if flags & ~(FIELD_MASK | PSEUDO_HDR | MARK_MANGLED_0 | MARK_ENFORCE | IPV6):
        return -EINVAL
    offset &= MASK32
    if not _is_checksum_place(skb, offset):
        return -EFAULT
    checksum = int.from_bytes(skb.read(offset, 2), "little")
    may_be_absent = bool(flags & MARK_MANGLED_0)
    if may_be_absent and not flags & MARK_ENFORCE and not checksum:
        return 0
    size, pseudo = flags & FIELD_MASK, bool(flags & PSEUDO_HDR)
    if size == 0:
        if old:
            return -EINVAL
        checksum = _replace_l4_difference(skb, checksum, new & MASK32, pseudo, bool(flags & IPV6))
    elif size in (2, 4):
        mask = MASK16 if size == 2 else MASK32
        checksum = _replace_l4(skb, checksum, old & mask, new & mask, pseudo)
    else:
        return -EINVAL
    skb.write(offset, (checksum or (MANGLED_0 if may_be_absent else 0)).to_bytes(2, "little"))
    return 0


def _is_checksum_place(skb: PacketBuffer, offset: int) -> bool:
    return offset <= MASK16 and offset % 2 == 0 and offset + 2 <= skb.length


def _replace_l4(skb: PacketBuffer, checksum: int, old: int, new: int, pseudo: bool) -> int:
    """inet_proto_csum_replace4: a checksum that the device will complete holds the sum of the pseudo header only."""
    summed = skb.field("ip_summed")
    if summed == CHECKSUM_PARTIAL:
        return csum_fold(csum_add(csum_sub(checksum, old), new)) ^ MASK16 if pseudo else checksum
    if summed == CHECKSUM_COMPLETE and pseudo:
        skb.set_field("csum", csum_add(csum_sub(skb.field("csum") ^ MASK32, old), new) ^ MASK32)
    return replace4(checksum, old, new)


def _replace_l4_difference(skb: PacketBuffer, checksum: int, difference: int, pseudo: bool, ipv6: bool) -> int:
    """inet_proto_csum_replace_by_diff."""
    summed = skb.field("ip_summed")
    if summed == CHECKSUM_PARTIAL:
        return csum_fold(csum_add(difference, checksum)) ^ MASK16 if pseudo else checksum
    if summed == CHECKSUM_COMPLETE and pseudo and not ipv6:
        skb.set_field("csum", csum_sub(difference, skb.field("csum")) ^ MASK32)
    return replace_by_difference(checksum, difference)
