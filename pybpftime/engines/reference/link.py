"""What the instructions of a program refer to: maps, functions, helpers by name, and why some refer to nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pybpftime.errors import Fault, FaultKind, InputError
from pybpftime.helpers import HelperTable
from pybpftime.isa import Form, Immediate, Instruction, Row
from pybpftime.machine import Code, Machine
from pybpftime.maps import MapError
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, Reference, Trap


def why_not_linked(
    instruction: Instruction, row: Row, reference: Reference | None, helpers: HelperTable
) -> Fault | None:
    """The Fault that executing `instruction` is because what it refers to is not there; None when it is there.

    `reference` is the program's entry for the slot of the instruction.  Whether a helper that is there may be called
    is another question: `helpers.marshal.why_not_callable`.
    """
    if isinstance(reference, Trap):
        return Fault(FaultKind.TRAP, reference.reason)
    if row.form is Form.CAST:
        return Fault(FaultKind.TRAP, "addr_space_cast needs an arena map, which this version does not have")
    match reference:
        case MapReference():
            return None
        case Extern(name, kind, weak):
            if called_helper(instruction, row, reference, helpers) is not None or (weak and kind != "kfunc"):
                return None
            return Fault(FaultKind.TRAP, f"{kind} {name} is defined neither by the object nor by this runtime")
    if row.form is Form.CALL_BTF:
        return Fault(FaultKind.TRAP, f"the kernel function with BTF id {instruction.imm} is not known here")
    if row.form is Form.IMMEDIATE and row.immediate not in (Immediate.VALUE, Immediate.CODE):
        return Fault(FaultKind.TRAP, f"{row.meaning}: nothing is known by the number {instruction.imm} here")
    return None


def called_helper(instruction: Instruction, row: Row, reference: Reference | None, helpers: HelperTable) -> int | None:
    """The id of the helper that the instruction names, by number or as a kfunc; None when it names none.

    There need not be a helper with a number that stands in a call.
    """
    if isinstance(reference, Extern):
        helper = helpers.find(reference.name) if reference.kind == "kfunc" else None
        return None if helper is None else helper.id
    return instruction.imm if row.form is Form.CALL_HELPER else None


class Linker:
    """What the immediates of one program stand for on its machine."""

    def __init__(
        self, spec: ProgramSpec, machine: Machine, helpers: HelperTable, code: Code, addresses: Mapping[int, int]
    ) -> None:
        """`addresses` are the `map_addresses` of the program, whose slots lie in `code`."""
        self._references = spec.references
        self._machine = machine
        self._helpers = helpers
        self._code = code
        self._addresses = addresses

    def why_not(self, slot: int, instruction: Instruction, row: Row) -> Fault | None:
        """`why_not_linked` of the instruction at `slot`."""
        return why_not_linked(instruction, row, self._references.get(slot), self._helpers)

    def immediate(self, slot: int, instruction: Instruction, row: Row) -> int:
        """The 64-bit value of the wide instruction, or the id of the helper behind the kfunc called, at `slot`.

        For instructions that `why_not` gives no reason against.
        """
        if slot in self._addresses:
            return self._addresses[slot]
        reference = self._references.get(slot)
        if isinstance(reference, Extern):
            return called_helper(instruction, row, reference, self._helpers) or 0  # a weak symbol that is not there
        if row.immediate is Immediate.CODE:
            return self._machine.code_address(self._code.start + slot + 1 + instruction.imm)
        return instruction.imm64


def map_addresses(program: LoadedProgram) -> Mapping[int, int]:
    """The addresses that stand for the program's maps and their values, by slot of the instruction.

    InputError when a map was not given, or has no such place.
    """
    addresses = {}
    for slot, reference in program.spec.references.items():
        if not isinstance(reference, MapReference):
            continue
        map = program.maps.get(reference.name)
        if map is None:
            raise InputError(f"the program refers to a map {reference.name}, which was not given", instruction=slot)
        try:
            addresses[slot] = map.address if reference.offset is None else map.values_address(reference.offset)
        except MapError as error:
            raise InputError(f"map {reference.name}: {error.reason}", instruction=slot) from None
    return addresses
