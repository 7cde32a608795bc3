"""Reading and writing memory."""

from __future__ import annotations

from base64 import b64decode, b64encode

from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.handles import parse_reference
from pybpftime.debug.dap.bodies import ReadMemoryBody, WriteMemoryBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.protocol import ReadMemoryArguments, WriteMemoryArguments
from pybpftime.debug.memory import peek
from pybpftime.debug.timeline import Change
from pybpftime.errors import InputError
from pybpftime.isa.encoding import encode_program
from pybpftime.machine.memory import OFFSET_MASK


class MemoryHandlers:
    """Handlers of requests about bytes.  Addresses are those that the program sees, or references of code."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee

    @request("readMemory")
    def read_memory(self, client: Client, arguments: ReadMemoryArguments) -> ReadMemoryBody:
        """Bytes of stack, packet, context, maps or code, as far as they reach within one region."""
        if arguments["count"] < 0:
            raise InputError("a negative number of bytes")
        address = parse_reference(arguments["memoryReference"]) + arguments.get("offset", 0)
        found = self._bytes(address, arguments["count"])
        return {
            "address": f"{max(address, 0):#x}",
            "data": b64encode(found).decode(),
            "unreadableBytes": arguments["count"] - len(found),
        }

    def _bytes(self, address: int, count: int) -> bytes:
        code = self._debuggee.code.find(address)
        if code is not None:
            spec, offset = code
            return encode_program(spec.instructions)[offset : offset + count]
        if not self._debuggee.session.world.has_begun:
            return b""
        memory = self._debuggee.session.world.machine.memory
        region = memory.find(address) if 0 <= address < 1 << 64 else None
        if region is None:
            return b""
        there = max(min(count, len(region.data) - (address & OFFSET_MASK)), 0)
        return peek(memory, address, there) or b""

    @request("writeMemory")
    def write_memory(self, client: Client, arguments: WriteMemoryArguments) -> WriteMemoryBody:
        """Overwrite bytes; in the past that begins a new time line."""
        try:
            data = b64decode(arguments["data"], validate=True)
        except ValueError as error:
            raise InputError(f"the data is not base64: {error}") from None
        address = parse_reference(arguments["memoryReference"]) + arguments.get("offset", 0)
        if self._debuggee.code.find(address) is not None:
            raise InputError("code cannot be changed")
        session = self._debuggee.session
        if not session.world.has_begun or not 0 <= address < 1 << 64:
            raise InputError(f"there is no memory at {address:#x}")
        if arguments.get("allowPartial"):
            data = data[: len(self._bytes(address, len(data)))]
        if not data:
            return {"bytesWritten": 0}
        with self._debuggee.editing(client):
            session.change(Change.MEMORY, address, data)
        client.event("memory", {"memoryReference": f"{address:#x}", "offset": 0, "count": len(data)})
        return {"bytesWritten": len(data)}
