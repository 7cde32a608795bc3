"""MapSpec: what a map shall be, before it exists; and the rules that Linux checks when it is created.

The loader makes specs from object files, users make them by hand; `create_map` makes the map.  The `check_*`
functions say what each family of map types demands (`map_alloc_check` and `map_alloc` in the kernel's
arraymap.c, hashtab.c, ringbuf.c and stackmap.c); `kinds` names the one that applies to a type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pybpftime.errors import InputError
from pybpftime.uapi import PAGE_SIZE, Errno, MapFlag, MapType

MAX_PER_CPU_VALUE = 32 << 10  # PCPU_MIN_UNIT_SIZE
MAX_HASH_ELEMENT = (4 << 20) - 48  # KMALLOC_MAX_SIZE less struct htab_elem
MAX_STACK_DEPTH = 127  # sysctl kernel.perf_event_max_stack, as it is by default
MAX_RINGBUF = 1 << 30  # ours: the program sees the ring twice in a row, in one region of 4 GiB
SPIN_LOCK_SIZE = 4  # struct bpf_spin_lock

ACCESS_FLAGS = MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY | MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY_PROG
SPIN_LOCK_TYPES = frozenset({MapType.BPF_MAP_TYPE_HASH, MapType.BPF_MAP_TYPE_ARRAY})


@dataclass(frozen=True, slots=True)
class KernelPointer:
    """A kptr field of a value: `offset` bytes into it, 8 bytes, to a `struct type_name` of the kernel.

    `referenced` ones (`__kptr`) own what they point to, the others (`__kptr_untrusted`) may dangle.
    """

    offset: int
    type_name: str
    referenced: bool = True


@dataclass(frozen=True, slots=True)
class MapSpec:
    """The description of one map.  Sizes are in bytes.

    `key_type_id` and `value_type_id` are BTF ids in the object's BTF, 0 without.  `inner` describes the maps that
    a map of maps holds.  `pinned` asks for pinning by name.  `extra` is map_extra.  `contents` is the initial
    value of element 0 (global data), None when it is not known before the program runs; of a map that is read-only
    for programs (BPF_F_RDONLY_PROG) it is the value for good, as libbpf freezes such maps.  `values` initialises a
    map of programs or maps: pairs of an index and the name of the program or map.  `spin_lock_offset` and
    `timer_offset` are where the value has its `struct bpf_spin_lock` and its `struct bpf_timer`, `kernel_pointers`
    its kptrs.
    """

    name: str
    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0  # MapFlag
    key_type_id: int = 0
    value_type_id: int = 0
    inner: MapSpec | None = None
    pinned: bool = False
    extra: int = 0
    numa_node: int | None = None
    contents: bytes | None = None
    values: tuple[tuple[int, str], ...] = ()
    spin_lock_offset: int | None = None
    timer_offset: int | None = None
    kernel_pointers: tuple[KernelPointer, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether it holds read-only data: `contents` is what programs read there, always."""
        return self.contents is not None and bool(self.flags & MapFlag.BPF_F_RDONLY_PROG)

    def refuse(self, field: str, rule: str, errno: Errno = Errno.EINVAL) -> InputError:
        """The InputError for a field that breaks a rule; it names the errno that Linux gives."""
        return InputError(f"map {self.name}: {field} {rule} ({errno.name})")


def like_libbpf(spec: MapSpec, cpu_count: int) -> MapSpec:
    """`spec` with the sizes that libbpf fills in for objects; bpf(2) itself takes them as they are.

    A perf event array without max_entries gets one entry per cpu, and the size of a ring buffer is rounded up to
    a power of two of pages (libbpf: map_set_def_max_entries, adjust_ringbuf_sz).
    """
    if spec.type == MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY and spec.max_entries == 0:
        return replace(spec, max_entries=cpu_count)
    if spec.type == MapType.BPF_MAP_TYPE_RINGBUF and 0 < spec.max_entries <= 1 << 31:
        return replace(spec, max_entries=max(PAGE_SIZE, power_of_two(spec.max_entries)))
    return spec


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number` (at least 1)."""
    return 1 << (number - 1).bit_length() if number > 1 else 1


def check_common(spec: MapSpec, legal_flags: MapFlag) -> None:
    """What holds for every type (map_create and map_check_btf in syscall.c)."""
    for field in ("key_size", "value_size", "max_entries", "flags"):
        if not 0 <= getattr(spec, field) < 1 << 32:
            raise spec.refuse(field, "must be a number of 32 bits")
    unknown = int(spec.flags) & ~int(legal_flags)
    if unknown:
        raise spec.refuse("flags", f"{flag_names(unknown)} is not allowed for {spec.type.name}")
    flags = MapFlag(spec.flags)
    for one, other in (
        (MapFlag.BPF_F_RDONLY, MapFlag.BPF_F_WRONLY),
        (MapFlag.BPF_F_RDONLY_PROG, MapFlag.BPF_F_WRONLY_PROG),
    ):
        if one in flags and other in flags:
            raise spec.refuse("flags", f"{one.name} and {other.name} exclude each other")
    if spec.extra:
        raise spec.refuse("map_extra", f"must be 0 for {spec.type.name}")
    check_contents(spec)
    check_spin_lock(spec)
    if spec.timer_offset is not None or spec.kernel_pointers:
        raise InputError(f"map {spec.name}: values with a bpf_timer or kernel pointers are not supported yet")


def check_contents(spec: MapSpec) -> None:
    """Initial contents fill (the start of) the only element of an array."""
    if spec.contents is None:
        return
    if spec.type != MapType.BPF_MAP_TYPE_ARRAY or spec.max_entries != 1:
        raise spec.refuse("contents", "can be given for an array of one element only")
    if len(spec.contents) > spec.value_size:
        raise spec.refuse("contents", f"has {len(spec.contents)} bytes and value_size is {spec.value_size}")


def check_spin_lock(spec: MapSpec) -> None:
    """Where a spin lock may be (map_check_btf, btf_find_field)."""
    offset = spec.spin_lock_offset
    if offset is None:
        return
    if spec.type not in SPIN_LOCK_TYPES:
        raise spec.refuse("value", f"with a bpf_spin_lock is not allowed for {spec.type.name}", Errno.EOPNOTSUPP)
    if offset % SPIN_LOCK_SIZE or not 0 <= offset <= spec.value_size - SPIN_LOCK_SIZE:
        raise spec.refuse("value", f"has its bpf_spin_lock at {offset}, misaligned or outside")
    if spec.flags & (MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY_PROG):
        raise spec.refuse("flags", "restrict programs, but the value has a bpf_spin_lock", Errno.EACCES)


def check_array(spec: MapSpec) -> None:
    """array_map_alloc_check."""
    if spec.key_size != 4:
        raise spec.refuse("key_size", f"must be 4 for {spec.type.name}, not {spec.key_size}")
    require_positive(spec, "value_size", "max_entries")
    if spec.value_size > (1 << 31) - 1:
        raise spec.refuse("value_size", f"{spec.value_size} is above {(1 << 31) - 1}", Errno.E2BIG)


def check_per_cpu_array(spec: MapSpec) -> None:
    check_array(spec)
    check_per_cpu(spec)


def check_descriptor_array(spec: MapSpec) -> None:
    """fd_array_map_alloc_check: user space writes descriptors, so values have 4 bytes."""
    if spec.value_size != 4:
        raise spec.refuse("value_size", f"must be 4 for {spec.type.name}, not {spec.value_size}")
    check_array(spec)


def check_hash(spec: MapSpec) -> None:
    """htab_map_alloc_check and htab_map_alloc."""
    require_positive(spec, "key_size", "value_size", "max_entries")
    if spec.key_size + spec.value_size >= MAX_HASH_ELEMENT:
        rule = f"{spec.value_size} with key_size {spec.key_size} makes an element above {MAX_HASH_ELEMENT} bytes"
        raise spec.refuse("value_size", rule, Errno.E2BIG)
    if spec.max_entries > 1 << 31:
        raise spec.refuse("max_entries", f"{spec.max_entries} is above {1 << 31}", Errno.E2BIG)


def check_per_cpu_hash(spec: MapSpec) -> None:
    check_hash(spec)
    check_per_cpu(spec)


def check_per_cpu(spec: MapSpec) -> None:
    if spec.value_size > MAX_PER_CPU_VALUE:
        rule = f"{spec.value_size} is above {MAX_PER_CPU_VALUE} for a value per cpu"
        raise spec.refuse("value_size", rule, Errno.E2BIG)
    if spec.flags & MapFlag.BPF_F_NUMA_NODE:
        raise spec.refuse("flags", "BPF_F_NUMA_NODE is not allowed for values per cpu")


def check_lru_hash(spec: MapSpec) -> None:
    check_hash(spec)
    if spec.flags & MapFlag.BPF_F_NO_PREALLOC:
        raise spec.refuse("flags", "BPF_F_NO_PREALLOC is not allowed for LRU maps", Errno.ENOTSUPP)
    if spec.flags & MapFlag.BPF_F_NO_COMMON_LRU and spec.flags & MapFlag.BPF_F_NUMA_NODE:
        raise spec.refuse("flags", "BPF_F_NO_COMMON_LRU and BPF_F_NUMA_NODE exclude each other")


def check_ringbuf(spec: MapSpec) -> None:
    """ringbuf_map_alloc."""
    for field in ("key_size", "value_size"):
        if getattr(spec, field):
            raise spec.refuse(field, "must be 0 for a ring buffer")
    size = spec.max_entries
    if size < PAGE_SIZE or size != power_of_two(size):
        raise spec.refuse("max_entries", f"{size} is no power of two of pages ({PAGE_SIZE} bytes)")
    if size > MAX_RINGBUF:
        raise InputError(f"map {spec.name}: ring buffers above {MAX_RINGBUF} bytes are not supported")


def check_stack_trace(spec: MapSpec) -> None:
    """stack_map_alloc."""
    if spec.key_size != 4:
        raise spec.refuse("key_size", f"must be 4 for {spec.type.name}, not {spec.key_size}")
    require_positive(spec, "max_entries")
    if spec.value_size < 8 or spec.value_size % 8:
        raise spec.refuse("value_size", f"{spec.value_size} is no positive multiple of 8")
    if spec.flags & MapFlag.BPF_F_STACK_BUILD_ID:
        raise InputError(f"map {spec.name}: stacks of build ids (BPF_F_STACK_BUILD_ID) are not supported")
    if spec.value_size // 8 > MAX_STACK_DEPTH:
        raise spec.refuse("value_size", f"{spec.value_size} holds more than {MAX_STACK_DEPTH} frames")
    if spec.max_entries > 1 << 31:
        raise spec.refuse("max_entries", f"{spec.max_entries} is above {1 << 31}", Errno.E2BIG)


def require_positive(spec: MapSpec, *fields: str) -> None:
    for field in fields:
        if not getattr(spec, field):
            raise spec.refuse(field, "must not be 0")


def flag_names(flags: int) -> str:
    """Names of set bits, `0x...` for those without one."""
    known = [flag for flag in MapFlag if flags & flag]
    rest = flags & ~sum(known)
    return " | ".join([str(flag.name) for flag in known] + ([f"{rest:#x}"] if rest else []))
