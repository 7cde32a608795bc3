"""Kernel objects: structures of the kernel that a program may follow and hand to helpers, but not change.

A load through such a pointer cannot fault, whatever the pointer is: the kernel catches it and gives 0.  So what has to
be shown of a load is that the kernel's BTF has something there; what it gives is a number, or a pointer to another
object.  Without the kernel's BTF objects are not followed.  Source: check_ptr_to_btf_access of the kernel's verifier.c
and btf_ctx_access of its btf.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.program.btf import Param
from pybpftime.program.sections import SLEEPABLE
from pybpftime.program.types import Field, FieldKind
from pybpftime.uapi import AttachType
from pybpftime.verifier import domain
from pybpftime.verifier.kernel_types import KernelTypes, Loaded, Tag, Target, Wrong
from pybpftime.verifier.obligations import Obligation, Unsupported
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, Value, unknown

_K = RegionKind
TRUSTED = frozenset(  # BTF_TYPE_SAFE_TRUSTED
    {
        ("bpf_iter_meta", "seq"),
        ("bpf_iter__task", "meta"),
        ("bpf_iter__task", "task"),
        ("linux_binprm", "file"),
        ("file", "f_inode"),
        ("dentry", "d_inode"),
    }
)
"""Members of trusted objects that are trusted themselves, and never NULL."""
SAFE_UNDER_RCU = frozenset(  # BTF_TYPE_SAFE_RCU
    {
        ("task_struct", "cpus_ptr"),
        ("task_struct", "cgroups"),
        ("task_struct", "real_parent"),
        ("task_struct", "group_leader"),
        ("cgroup", "kn"),
        ("css_set", "dfl_cgrp"),
    }
)
"""Members that are never NULL in programs that do not sleep."""
MAY_BE_NULL = frozenset(  # BTF_TYPE_SAFE_RCU_OR_NULL, BTF_TYPE_SAFE_TRUSTED_OR_NULL
    {("mm_struct", "exe_file"), ("sk_buff", "sk"), ("request_sock", "sk"), ("socket", "sk")}
)
ITERATOR_BUFFERS = {  # whether programs may write to it
    ("bpf_map_elem", "key"): False,
    ("bpf_map_elem", "value"): True,
    ("bpf_sk_storage_map", "value"): True,
    ("sockmap", "key"): False,
}
"""Arguments of iterators that are memory, of a size that is checked when the program is attached."""
ITERATED_MAPS = frozenset({"bpf_map_elem", "bpf_sk_storage_map", "sockmap"})
"""Iterators over one map, which is there in any case."""
ARGUMENT_SIZE = 8


def types_of(subject: Subject) -> KernelTypes:
    """The kernel's types; Unsupported without."""
    if subject.kernel_types is None:
        raise Unsupported("kernel objects without the kernel's BTF")
    return subject.kernel_types


# --- loads ------------------------------------------------------------------------------------------------------------


def requires(
    subject: Subject, number: int, pointer: Pointer, offset: int, size: int, writes: bool
) -> Iterator[Obligation]:
    """What an access of `size` bytes at `pointer + offset` of an object demands."""
    region = pointer.region
    at = pointer.offset + offset
    if writes:
        yield Obligation("read-only", f"r{number} leads to the {region.name}, which programs may only read", number)
    elif pointer.variable is not None or at < 0:
        sentence = f"r{number} is the {region.name} plus a number: members have constant offsets"
        yield Obligation("object-access", sentence, number)
    elif not subject.gpl:
        sentence = f"the {region.name} is for programs under a GPL-compatible license"
        yield Obligation("license", sentence, number)
    elif not region.readable:
        yield Obligation("object-access", f"the {region.name} is memory of user space, or of one cpu", number)
    else:
        loaded = _loaded(subject, region, at, size)
        if isinstance(loaded, Wrong):
            yield Obligation(
                "object-access", f"load of {size} bytes at {at} of the {region.name}: {loaded.why}", number
            )


def requires_of_map(
    subject: Subject, number: int, pointer: Pointer, offset: int, size: int, writes: bool
) -> Iterator[Obligation]:
    """What an access to a map itself demands: all begin with a struct bpf_map (check_ptr_to_map_access)."""
    if writes or pointer.variable is not None or pointer.offset or offset < 0:
        yield Obligation("object-access", f"r{number} is a map: its members may be read, at constant offsets", number)
        return
    loaded = _loaded(subject, pointer.region, offset, size)
    if isinstance(loaded, Wrong):
        sentence = f"load of {size} bytes at {offset} of the {pointer.region.name}: {loaded.why}"
        yield Obligation("object-access", sentence, number)


def _loaded(subject: Subject, region: Region, at: int, size: int) -> Loaded:
    type_name = "bpf_map" if region.kind is _K.MAP else region.type_name
    assert type_name is not None
    return types_of(subject).load(type_name, at, size)


def load(subject: Subject, pointer: Pointer, offset: int, size: int, pc: int) -> Value:
    """What a load from an object gives."""
    region = pointer.region
    at = pointer.offset + offset
    loaded = _loaded(subject, region, at, size)
    if not isinstance(loaded, Target):
        source = Input(InputKind.MEMORY, f"{region.name}{at:+d}", region, at, size)
        return Scalar(domain.of_size(size), source, pc=pc)
    return _followed(subject, region, loaded, pc)


def _followed(subject: Subject, region: Region, target: Target, pc: int) -> Pointer:
    """The pointer that a member holds: what may be done with it depends on the object that it is a member of."""
    place = (target.owner, target.field)
    sleeps = SLEEPABLE in subject.spec.flags
    certain = place in TRUSTED or (place in SAFE_UNDER_RCU and not sleeps)
    nullable = place in MAY_BE_NULL or (target.tag is Tag.RCU and not sleeps)
    trusted = region.trusted and (place in TRUSTED or not (target.in_union or sleeps))
    found = Region(
        _K.OBJECT,
        f"{target.type_name} at {target.field} of {region.name}",
        pc=pc,
        type_name=target.type_name,
        readable=target.tag not in (Tag.USER, Tag.PER_CPU),
        writable=False,
        trusted=trusted,
    )
    return Pointer(found, nullable=region.trusted and nullable and not certain)


# --- arguments of the traced function ---------------------------------------------------------------------------------


def _parameters(subject: Subject) -> tuple[Param, ...] | None:
    """Those of the function that the program is attached to; None where they are not known."""
    name, attach_type = subject.spec.attach_to, subject.spec.attach_type
    if subject.kernel_types is None or name is None:
        return None
    if attach_type is AttachType.BPF_TRACE_RAW_TP:
        return subject.kernel_types.tracepoint_parameters(name)
    if attach_type is AttachType.BPF_TRACE_ITER:
        return subject.kernel_types.parameters(f"bpf_iter_{name}")
    return None


def _parameter(subject: Subject, field: Field) -> Param | None:
    """The parameter that a field of the context stands for; None behind the last.  Unsupported if that is not known."""
    parameters = _parameters(subject)
    if parameters is None:
        raise Unsupported("arguments of a function whose types are not known")
    index = field.offset // ARGUMENT_SIZE
    kernel_types = types_of(subject)
    if any(isinstance(kernel_types.of_parameter(one), Wrong) for one in parameters[:index]):
        raise Unsupported("arguments behind one that is handed over by value")
    return parameters[index] if index < len(parameters) else None


def requires_of_argument(subject: Subject, number: int, field: Field) -> Iterator[Obligation]:
    """What the load of an argument demands: that the function has it, and programs may have it."""
    if field.kind is not FieldKind.ARGUMENT:
        return
    parameter = _parameter(subject, field)
    if parameter is None:
        sentence = f"{subject.spec.attach_to} has fewer arguments than {field.offset // ARGUMENT_SIZE + 1}"
        yield Obligation("context-access", sentence, number)
        return
    found = types_of(subject).of_parameter(parameter)
    if isinstance(found, Wrong):
        yield Obligation("context-access", f"{field.name} of {subject.spec.attach_to}: {found.why}", number)


def argument(subject: Subject, field: Field, pc: int) -> Value:
    """What the load of an argument, or of a field that is an object, gives."""
    if field.kind is FieldKind.BUFFER:
        return Pointer(Region(_K.BUFFER, f"buffer at {field.name}", pc=pc))
    if field.kind is FieldKind.OBJECT:
        return Pointer(_object(field.type_name, field.name, pc))
    parameter = _parameter(subject, field)
    assert parameter is not None
    name = f"{parameter.name or field.name} of {subject.spec.attach_to}"
    buffer = _iterator_buffer(subject, parameter, name, pc)
    if buffer is not None:
        return buffer
    found = types_of(subject).of_parameter(parameter)
    if not isinstance(found, Target):
        return unknown(name, pc, InputKind.CONTEXT)
    return Pointer(_object(found.type_name, name, pc), nullable=_may_be_null(subject, parameter))


def result(type_name: str, name: str, pc: int, reference: Region | None = None) -> Region:
    """An object that a helper returns or hands out; `reference` is what has to be released for it."""
    return Region(_K.OBJECT, name, pc=pc, type_name=type_name, writable=False, trusted=True, reference=reference)


def _object(type_name: str, name: str, pc: int) -> Region:
    return Region(_K.OBJECT, f"{type_name} {name}", pc=pc, type_name=type_name, writable=False, trusted=True)


def _iterator_buffer(subject: Subject, parameter: Param, name: str, pc: int) -> Pointer | None:
    if subject.spec.attach_type is not AttachType.BPF_TRACE_ITER or subject.spec.attach_to is None:
        return None
    writable = ITERATOR_BUFFERS.get((subject.spec.attach_to, parameter.name))
    return None if writable is None else Pointer(Region(_K.BUFFER, name, pc=pc, writable=writable), nullable=True)


def _may_be_null(subject: Subject, parameter: Param) -> bool:
    """Whether the function may be called with NULL there, as far as the kernel says."""
    target = subject.spec.attach_to
    if subject.spec.attach_type is AttachType.BPF_TRACE_ITER:
        return parameter.name != "meta" and not (parameter.name == "map" and target in ITERATED_MAPS)
    if parameter.name.endswith("__nullable"):
        return True
    return target in TRACEPOINTS_WITH_NULL


# --- buffers ----------------------------------------------------------------------------------------------------------


def requires_of_buffer(number: int, pointer: Pointer, offset: int, writes: bool) -> Iterator[Obligation]:
    """An access to a buffer is at a constant offset, so that the greatest is known when the program is attached."""
    region = pointer.region
    if pointer.variable is not None or pointer.offset + offset < 0:
        sentence = (
            f"r{number} is the {region.name} at {pointer.offset + offset} or a number: offsets are constants from 0"
        )
        yield Obligation("memory-bounds", sentence, number)
    if writes and not region.writable:
        yield Obligation("read-only", f"r{number} leads to the {region.name}, which programs may only read", number)


TRACEPOINTS_WITH_NULL = frozenset(  # raw_tp_null_args, without telling which argument
    {
        *("sched_pi_setprio", "sched_process_wait", "sched_stick_numa", "sched_swap_numa", "afs_make_fs_call"),
        *("afs_make_fs_calli", "afs_make_fs_call1", "afs_make_fs_call2", "afs_protocol_error", "afs_flock_ev"),
        *("cachefiles_lookup", "cachefiles_unlink", "cachefiles_rename", "cachefiles_prep_read"),
        *("cachefiles_mark_active", "cachefiles_mark_failed", "cachefiles_mark_inactive"),
        *("cachefiles_vfs_error", "cachefiles_io_error", "cachefiles_ondemand_open"),
        *("cachefiles_ondemand_copen", "cachefiles_ondemand_close", "cachefiles_ondemand_read"),
        *("cachefiles_ondemand_cread", "cachefiles_ondemand_fd_write", "cachefiles_ondemand_fd_release"),
        *("ext4_mballoc_discard", "ext4_mballoc_free", "fib_table_lookup", "posix_lock_inode", "fcntl_setlk"),
        *("locks_remove_posix", "flock_lock_inode", "break_lease_noblock", "break_lease_block"),
        *("break_lease_unblock", "generic_delete_lease", "time_out_leases", "host1x_cdma_push_gather"),
        *("mm_khugepaged_scan_pmd", "mm_collapse_huge_page_isolate", "mm_khugepaged_scan_file"),
        *("mm_khugepaged_collapse_file", "mm_page_alloc", "mm_page_pcpu_drain", "mm_page_alloc_zone_locked"),
        *("netfs_failure", "device_pm_callback_start", "qdisc_dequeue", "rxrpc_recvdata", "rxrpc_resend"),
        *("signal_generate", "signal_deliver", "xs_stream_read_data", "xprt_reserve_cong", "xprt_release_cong"),
        *("xprt_get_cong", "xprt_put_cong", "tcp_send_reset", "tegra_dma_tx_status", "tmigr_update_events"),
        *("writeback_dirty_folio", "folio_wait_writeback", "mr_integ_alloc"),
    }
)
