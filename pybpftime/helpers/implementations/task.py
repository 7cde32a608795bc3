"""Task, cpu and cgroup, as the environment shows them."""

from __future__ import annotations

from pybpftime.helpers.errors import EINVAL
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine, Region, RegionKind

COMM_SIZE = 16  # TASK_COMM_LEN
PIDNS_INFO_SIZE = 8  # struct bpf_pidns_info: pid, tgid
LAST_SIGNAL = 64  # _NSIG


@implements("bpf_get_prandom_u32")
def get_prandom_u32(machine: Machine) -> int:
    return machine.environment.random_u32()


@implements("bpf_get_smp_processor_id")
def get_smp_processor_id(machine: Machine) -> int:
    return machine.environment.cpu


@implements("bpf_get_numa_node_id")
def get_numa_node_id(machine: Machine) -> int:
    return machine.environment.numa_node


@implements("bpf_get_current_pid_tgid")
def get_current_pid_tgid(machine: Machine) -> int:
    return machine.environment.pid << 32 | machine.environment.tid & 0xFFFF_FFFF


@implements("bpf_get_ns_current_pid_tgid")
def get_ns_current_pid_tgid(machine: Machine, device: int, inode: int, info: Span) -> int:
    """There is one pid namespace here, so whichever is asked for is that of the current task."""
    info.clear()
    if info.size != PIDNS_INFO_SIZE or device >> 32:
        return -EINVAL
    environment = machine.environment
    info.write((environment.pid << 32 | environment.tid & 0xFFFF_FFFF).to_bytes(PIDNS_INFO_SIZE, "little"))
    return 0


@implements("bpf_get_current_uid_gid")
def get_current_uid_gid(machine: Machine) -> int:
    return machine.environment.gid << 32 | machine.environment.uid & 0xFFFF_FFFF


@implements("bpf_get_current_comm")
def get_current_comm(machine: Machine, buffer: Span) -> int:
    """strscpy_pad: cut to fit with its 0, and padded."""
    name = machine.environment.comm.encode(errors="surrogateescape")[: COMM_SIZE - 1]
    buffer.fill(name[: buffer.size - 1])
    return 0


@implements("bpf_get_current_task")
def get_current_task(machine: Machine) -> int:
    return _task(machine)


@implements("bpf_get_current_task_btf")
def get_current_task_btf(machine: Machine) -> int:
    return _task(machine)


def _task(machine: Machine) -> int:
    """The address of the struct task_struct, of which there is nothing more: it may be compared."""
    for region in machine.memory:
        if isinstance(region, KernelObject) and region.name == "current task":
            return region.base
    region = KernelObject("current task", reads_zero=not machine.strictness.untrusted_load)
    return machine.memory.map(region, transient=True)


class KernelObject(Region):
    """A kernel object that programs may look into, where there is no kernel: every load of it is one that faults.

    In Linux such a load gives 0 (BPF_PROBE_MEM), and does here if it `reads_zero`; else it is a Fault, as stores and
    what helpers read and write always are.  It is as large as the offset of an instruction reaches.
    """

    __slots__ = ("reads_zero",)

    def __init__(self, name: str, *, reads_zero: bool) -> None:
        super().__init__(RegionKind.HANDLE, name, bytearray(), end=1 << 15, readable=False, writable=False)
        self.reads_zero = reads_zero

    def load(self, offset: int, size: int) -> int:
        if self.reads_zero and offset + size <= self.end:
            return 0
        raise self.refuse(offset, size, "load")


@implements("bpf_get_current_cgroup_id")
def get_current_cgroup_id(machine: Machine) -> int:
    return machine.environment.cgroup_id


@implements("bpf_get_current_ancestor_cgroup_id")
def get_current_ancestor_cgroup_id(machine: Machine, level: int) -> int:
    """The environment's cgroup lies directly in the root, whose id is 1."""
    level = (level & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31)
    identifier = machine.environment.cgroup_id
    depth = 0 if identifier == 1 else 1
    if not 0 <= level <= depth:
        return 0
    return identifier if level == depth else 1


@implements("bpf_send_signal")
def send_signal(machine: Machine, signal: int) -> int:
    return _record_signal(machine, signal, "process")


@implements("bpf_send_signal_thread")
def send_signal_thread(machine: Machine, signal: int) -> int:
    return _record_signal(machine, signal, "thread")


def _record_signal(machine: Machine, signal: int, target: str) -> int:
    """The signal is recorded in the run's effects and sent to nobody.  Signal 0 asks whether it could be sent."""
    signal &= 0xFFFF_FFFF
    if signal > LAST_SIGNAL:
        return -EINVAL
    machine.effects.records.setdefault("signals", []).append((target, signal))
    return 0
