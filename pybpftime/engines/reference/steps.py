"""One step function per instruction: the reading of every instruction form on the machine.

`bind` turns an instruction and its table row into a closure over the machine.  Calling it executes the
instruction and returns the pc that follows.  What a value becomes is in the row (`row.compute`, over an
algebra); here is only how operands are fetched and where results go, once per form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pybpftime.errors import Fault, FaultKind, InternalError
from pybpftime.isa import Form, Instruction, Row, jump_offset
from pybpftime.machine import Machine, Rounds

Step = Callable[[], int]


class Exited(Exception):  # control flow, not an error
    """The program returned."""


class Binder:
    """What step functions of one program close over: the machine, its algebras, where the program stands.

    `invoke(helper_id)` gives the closure that marshals a call of that helper; `immediate(slot, instruction, row)`
    the value of a wide instruction (for a call by BTF id: the helper's number).  What refers to something that is not
    there is never bound; see `link`.
    """

    def __init__(
        self,
        machine: Machine,
        base: int,
        invoke: Callable[[int], Callable[[], Rounds | None]],
        immediate: Callable[[int, Instruction, Row], int],
    ) -> None:
        self.machine = machine
        self.base = base
        self.invoke = invoke
        self.immediate = immediate
        self.algebras = {width: machine.algebra(width) for width in (32, 64)}

    def bind(self, slot: int, instruction: Instruction, row: Row) -> Step:
        """The step function of the instruction at `slot`."""
        return FORMS[row.form](self, self.base + slot, instruction, row)


Bind = Callable[[Binder, int, Instruction, Row], Step]
"""What makes the step function of the instruction at a slot: `Binder.bind`, or that of other semantics."""


def unwritten(register: int) -> Fault:
    """The Fault for reading a register that was never written."""
    return Fault(FaultKind.UNINITIALISED, f"r{register} is read and was never written")


def trap(fault: Fault) -> Step:
    """A step that raises `fault` (a fresh one each time)."""

    def step() -> int:
        raise Fault(fault.kind, fault.reason)

    return step


def _binary(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, compute, next_pc = binder.machine.registers, row.compute, pc + 1
    dst_reg, src_reg, m = instruction.dst_reg, instruction.src_reg, binder.algebras[row.width]
    assert compute is not None
    narrow, widen = m.narrow, m.widen
    imm = m.const(instruction.imm)

    def with_immediate() -> int:
        dst = registers[dst_reg]
        if dst is None:
            raise unwritten(dst_reg)
        registers[dst_reg] = compute(m, dst, imm)
        return next_pc

    def with_register() -> int:
        dst, src = registers[dst_reg], registers[src_reg]
        if dst is None or src is None:
            raise unwritten(dst_reg if dst is None else src_reg)
        registers[dst_reg] = compute(m, dst, src)
        return next_pc

    def narrow_with_immediate() -> int:
        dst = registers[dst_reg]
        if dst is None:
            raise unwritten(dst_reg)
        registers[dst_reg] = widen(compute(m, narrow(dst), imm))
        return next_pc

    def narrow_with_register() -> int:
        dst, src = registers[dst_reg], registers[src_reg]
        if dst is None or src is None:
            raise unwritten(dst_reg if dst is None else src_reg)
        registers[dst_reg] = widen(compute(m, narrow(dst), narrow(src)))
        return next_pc

    if row.width == 64:
        return with_immediate if row.operand == "imm" else with_register
    return narrow_with_immediate if row.operand == "imm" else narrow_with_register


def _unary(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, compute, next_pc = binder.machine.registers, row.compute, pc + 1
    dst_reg, m = instruction.dst_reg, binder.algebras[row.width]
    assert compute is not None
    if row.operand == "imm":
        value = m.widen(compute(m, m.const(instruction.imm)))

        def constant() -> int:
            registers[dst_reg] = value
            return next_pc

        return constant
    source = getattr(instruction, row.operand)
    narrow, widen, is_narrow = m.narrow, m.widen, row.width != 64

    def step() -> int:
        operand = registers[source]
        if operand is None:
            raise unwritten(source)
        registers[dst_reg] = widen(compute(m, narrow(operand))) if is_narrow else compute(m, operand)
        return next_pc

    return step


def _jump_if(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, condition, next_pc = binder.machine.registers, row.compute, pc + 1
    target = next_pc + jump_offset(row, instruction)
    dst_reg, src_reg, m = instruction.dst_reg, instruction.src_reg, binder.algebras[row.width]
    assert condition is not None
    narrow, is_narrow = m.narrow, row.width != 64
    imm = m.const(instruction.imm)

    def with_immediate() -> int:
        dst = registers[dst_reg]
        if dst is None:
            raise unwritten(dst_reg)
        return target if condition(m, narrow(dst) if is_narrow else dst, imm) else next_pc

    def with_register() -> int:
        dst, src = registers[dst_reg], registers[src_reg]
        if dst is None or src is None:
            raise unwritten(dst_reg if dst is None else src_reg)
        if is_narrow:
            dst, src = narrow(dst), narrow(src)
        return target if condition(m, dst, src) else next_pc

    return with_immediate if row.operand == "imm" else with_register


def _jump(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    target = pc + 1 + jump_offset(row, instruction)
    return lambda: target


def _jump_register(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, dst_reg = binder.machine, instruction.dst_reg

    def step() -> int:
        address = machine.registers[dst_reg]
        if address is None:
            raise unwritten(dst_reg)
        target = machine.code_pc(address)
        if machine.locate(target)[0] is not machine.locate(pc)[0]:
            raise Fault(FaultKind.INSTRUCTION, "gotox leads out of the program", address=address)
        return target

    return step


def _may_jump(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, next_pc = binder.machine, pc + 1
    target = next_pc + instruction.offset

    def step() -> int:
        if machine.loop_budget == 0:
            return target
        machine.loop_budget -= 1
        return next_pc

    return step


def _load(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, load, compute, next_pc = binder.machine.registers, binder.machine.memory.load, row.compute, pc + 1
    dst_reg, src_reg, size, m = instruction.dst_reg, instruction.src_reg, row.size, binder.algebras[64]
    assert compute is not None
    add, offset = m.add, m.const(instruction.offset)

    def step() -> int:
        base = registers[src_reg]
        if base is None:
            raise unwritten(src_reg)
        registers[dst_reg] = compute(m, load(add(base, offset), size))
        return next_pc

    return step


def _store(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, store, next_pc = binder.machine.registers, binder.machine.memory.store, pc + 1
    dst_reg, src_reg, size, m = instruction.dst_reg, instruction.src_reg, row.size, binder.algebras[64]
    add, offset, imm = m.add, m.const(instruction.offset), m.const(instruction.imm)

    def immediate() -> int:
        base = registers[dst_reg]
        if base is None:
            raise unwritten(dst_reg)
        store(add(base, offset), size, imm)
        return next_pc

    def register() -> int:
        base, value = registers[dst_reg], registers[src_reg]
        if base is None or value is None:
            raise unwritten(dst_reg if base is None else src_reg)
        store(add(base, offset), size, value)
        return next_pc

    return immediate if row.operand == "imm" else register


def _atomic(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, update, compute, next_pc = binder.machine.registers, binder.machine.memory.update, row.compute, pc + 1
    dst_reg, src_reg, size = instruction.dst_reg, instruction.src_reg, row.size
    m, m64 = binder.algebras[row.width], binder.algebras[64]
    assert compute is not None
    offset, compares = m64.const(instruction.offset), "r0" in row.reads
    result = 0 if compares else src_reg if row.fetch else None

    def step() -> int:
        base, src, r0 = registers[dst_reg], registers[src_reg], registers[0] if compares else 0
        if base is None or src is None or r0 is None:
            raise unwritten(dst_reg if base is None else src_reg if src is None else 0)
        operand, expected = m.narrow(src), m.narrow(r0)
        old = update(m64.add(base, offset), size, lambda old: compute(m, old, operand, expected))
        if result is not None:
            registers[result] = m.widen(old)
        return next_pc

    return step


def _load_acquire(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, load, next_pc = binder.machine.registers, binder.machine.memory.load_acquire, pc + 1
    dst_reg, src_reg, size, m = instruction.dst_reg, instruction.src_reg, row.size, binder.algebras[64]
    offset = m.const(instruction.offset)

    def step() -> int:
        base = registers[src_reg]
        if base is None:
            raise unwritten(src_reg)
        registers[dst_reg] = load(m.add(base, offset), size)
        return next_pc

    return step


def _store_release(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, store, next_pc = binder.machine.registers, binder.machine.memory.store_release, pc + 1
    dst_reg, src_reg, size, m = instruction.dst_reg, instruction.src_reg, row.size, binder.algebras[64]
    offset = m.const(instruction.offset)

    def step() -> int:
        base, value = registers[dst_reg], registers[src_reg]
        if base is None or value is None:
            raise unwritten(dst_reg if base is None else src_reg)
        store(m.add(base, offset), size, value)
        return next_pc

    return step


def _immediate(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    registers, dst_reg, next_pc = binder.machine.registers, instruction.dst_reg, pc + 2
    value = binder.immediate(pc - binder.base, instruction, row)

    def step() -> int:
        registers[dst_reg] = value
        return next_pc

    return step


def _call_helper(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, invoke, next_pc = binder.machine, binder.invoke(instruction.imm), pc + 1

    return lambda: after_call(machine, invoke(), next_pc)


def enter_function(machine: Machine, entry: int, return_pc: int | None) -> int:
    """Call the function at `entry`: its arguments are r1 to r5, all else is unset.  Returns `entry`."""
    machine.push_frame(entry, return_pc)
    machine.registers[0] = machine.unset
    return entry


def _call_local(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, next_pc = binder.machine, pc + 1
    target = next_pc + instruction.imm
    return lambda: enter_function(machine, target, next_pc)


def _call_register(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, dst_reg, next_pc = binder.machine, instruction.dst_reg, pc + 1
    by_number = not machine.strictness.call_by_number

    def step() -> int:
        address = machine.registers[dst_reg]
        if address is None:
            raise unwritten(dst_reg)
        if by_number and not machine.is_pointer(address):
            # A bare runtime takes the number in the register as a helper's id (bpf_conformance, callx.data).
            return after_call(machine, binder.invoke(address)(), next_pc)
        return enter_function(machine, machine.code_pc(address), next_pc)

    return step


def after_call(machine: Machine, rounds: Rounds | None, return_pc: int) -> int:
    """A helper is done (None), or calls back: the pc to go on at, in its callback or behind the call."""
    if rounds is None:
        return return_pc
    arguments = rounds.arguments(machine)
    if arguments is None:
        rounds.conclude(rounds.result)
        return return_pc
    entry = machine.code_pc(rounds.callback)
    machine.push_frame(entry, return_pc, rounds)
    machine.registers[0] = machine.unset
    machine.set_arguments(arguments)
    return entry


def leave_function(machine: Machine) -> int:
    """Return r0 to the caller, or to the helper that called back; raises Exited at the end of the run."""
    frame = machine.frames[-1]
    if frame.return_pc is None or frame.rounds is not None:
        r0 = machine.registers[0]
        if r0 is None:
            raise Fault(FaultKind.UNINITIALISED, "exit with r0 never written")
        if machine.strictness.tracked_pointers and machine.is_pointer(r0):
            raise Fault(FaultKind.POINTER, f"exit returns a pointer ({machine.memory.describe(r0)})")
        if frame.rounds is not None:
            frame.rounds.returned(machine, r0)
        else:
            machine.require_released("exit")
    return_pc = machine.pop_frame()
    if return_pc is None:
        raise Exited
    return after_call(machine, frame.rounds, return_pc)


def _exit(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine = binder.machine
    return lambda: leave_function(machine)


def _packet(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, registers, next_pc = binder.machine, binder.machine.registers, pc + 1
    src_reg, size, m = instruction.src_reg, row.size, binder.algebras[32]

    def step() -> int:
        load_legacy = getattr(machine.context, "load_legacy", None)
        if load_legacy is None or registers[6] is None:
            raise Fault(FaultKind.INSTRUCTION, "legacy packet access needs a packet whose context is in r6")
        offset = m.const(instruction.imm)
        if row.operand == "src_reg":
            index = registers[src_reg]
            if index is None:
                raise unwritten(src_reg)
            offset = m.add(offset, m.narrow(index))
        value = load_legacy(offset, size)
        registers[1:6] = [machine.unset] * 5
        registers[0] = 0 if value is None else value
        return leave_function(machine) if value is None else next_pc

    return step


def _call_kernel_function(binder: Binder, pc: int, instruction: Instruction, row: Row) -> Step:
    machine, next_pc = binder.machine, pc + 1
    invoke = binder.invoke(binder.immediate(pc - binder.base, instruction, row))
    return lambda: after_call(machine, invoke(), next_pc)


FORMS: Mapping[Form, Callable[[Binder, int, Instruction, Row], Step]] = {
    Form.BINARY: _binary,
    Form.UNARY: _unary,
    Form.JUMP_IF: _jump_if,
    Form.JUMP: _jump,
    Form.JUMP_REGISTER: _jump_register,
    Form.MAY_JUMP: _may_jump,
    Form.LOAD: _load,
    Form.STORE: _store,
    Form.ATOMIC: _atomic,
    Form.LOAD_ACQUIRE: _load_acquire,
    Form.STORE_RELEASE: _store_release,
    Form.IMMEDIATE: _immediate,
    Form.CALL_HELPER: _call_helper,
    Form.CALL_LOCAL: _call_local,
    Form.CALL_BTF: _call_kernel_function,
    Form.CALL_REGISTER: _call_register,
    Form.EXIT: _exit,
    Form.PACKET: _packet,
}
if missing := set(Form) - set(FORMS) - {Form.CAST}:  # `link` gives a reason against each cast
    raise InternalError(f"the reference engine lacks {missing}")
