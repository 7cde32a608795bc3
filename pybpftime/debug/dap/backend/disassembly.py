"""Instructions as text, at addresses of code."""

from __future__ import annotations

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.handles import Layout, parse_reference
from pybpftime.debug.dap.bodies import DisassembleBody, DisassembledInstruction
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import DisassembleArguments
from pybpftime.debug.repl.instructions import jump_target, shown_instruction
from pybpftime.errors import InputError
from pybpftime.isa.disassembler import format_instruction
from pybpftime.isa.encoding import SLOT_BYTES, Instruction, encode_program
from pybpftime.program.spec import ProgramSpec

MOST_INSTRUCTIONS = 1 << 16
INVALID = "(no code)"
END_OF_ADDRESSES = 1 << 64


class DisassemblyHandlers:
    """Handler of the request for instructions."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee

    @request("disassemble")
    def disassemble(self, client: Client, arguments: DisassembleArguments) -> DisassembleBody:
        """Exactly as many instructions as asked for, from any place of any program; outside they are marked invalid."""
        count = arguments["instructionCount"]
        if not 0 <= count <= MOST_INSTRUCTIONS:
            raise InputError(f"instructionCount is 0 to {MOST_INSTRUCTIONS}")
        reference, bytes_on = parse_reference(arguments["memoryReference"]), arguments.get("offset", 0)
        first = arguments.get("instructionOffset", 0)
        found = self._debuggee.code.find(reference)
        if found is None:
            wanted = range(first, first + count)
            return {"instructions": [invalid(reference + bytes_on + SLOT_BYTES * index) for index in wanted]}
        spec, offset = found
        layout = Layout(spec)
        first += layout.index_at(offset + bytes_on)
        text = InstructionText(self._debuggee, spec, symbols=arguments.get("resolveSymbols", True))
        return {"instructions": [self._row(layout, index, text) for index in range(first, first + count)]}

    def _row(self, layout: Layout, index: int, text: InstructionText) -> DisassembledInstruction:
        start = self._debuggee.code.start(layout.spec)
        if index < 0:
            return invalid(start + SLOT_BYTES * index)
        behind = index - len(layout.slots)
        if behind >= 0:
            return invalid(start + SLOT_BYTES * (len(layout.spec.instructions) + behind))
        return text.row(layout.slots[index])


def invalid(address: int) -> DisassembledInstruction:
    """A row for where there is no code."""
    return {"address": f"{address % END_OF_ADDRESSES:#x}", "instruction": INVALID, "presentationHint": "invalid"}


class InstructionText:
    """Writes instructions of one program."""

    def __init__(self, debuggee: Debuggee, spec: ProgramSpec, *, symbols: bool) -> None:
        self._debuggee = debuggee
        self._spec = spec
        self._code = encode_program(spec.instructions)
        self._functions = {one.start: one.name for one in spec.functions} if symbols else {}

    def row(self, slot: int) -> DisassembledInstruction:
        """The instruction that begins at a slot."""
        instruction = self._spec.instructions[slot]
        assert instruction is not None
        found: DisassembledInstruction = {
            "address": f"{self._debuggee.code.reference(self._spec, slot):#x}",
            "instruction": self._text(slot, instruction),
            "instructionBytes": self._code[slot * SLOT_BYTES : (slot + instruction.slots) * SLOT_BYTES].hex(" "),
        }
        if slot in self._functions:
            found["symbol"] = self._functions[slot]
        place = self._debuggee.session.symbols_of(self._spec).line_at(slot)
        if place is not None:
            found["location"] = self._debuggee.sources.source(place.file)
            found["line"], found["column"] = place.line, max(place.column, 1)
        return found

    def _text(self, slot: int, instruction: Instruction) -> str:
        """The instruction, and what it refers to: a map, a helper, where it goes to."""
        try:
            text = shown_instruction(self._spec, slot, self._debuggee.session.object.helpers)
            target = jump_target(self._spec, slot)
        except InputError:  # no instruction that there is
            return format_instruction(instruction)
        return text if target is None else f"{text} at {self._debuggee.code.reference(self._spec, target):#x}"
