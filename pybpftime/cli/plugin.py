"""`pybpftime-plugin`: the runtime as the plugin that other projects' runners call.

    pybpftime-plugin "<memory>"                         the program on standard input
    pybpftime-plugin ["<memory>"] --program "<hex>"     either order
    pybpftime-plugin ["<memory>"] --elf                 an object file on standard input

Everything is hex text.  Memory is what r1 points to, r2 is its length; both are 0 without.  On success r0 is printed
in hex without 0x and the exit code is 0, else one line that says why, and 1.  Programs run at the lenient level: a
bare runtime is judged by RFC 9669, not by Linux's verifier.

Sources: the runner of Alan-Jowett/bpf_conformance and the libFuzzer harness of iovisor/ubpf.  Runners start one
process for each case, so this module imports little: no click, no rich, no ELF, no BTF.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pybpftime.cli.streams import BROKEN_PIPE, discard, not_written, prepare_streams
from pybpftime.conformance.runtimes.bare import run_code
from pybpftime.engines.engine import DEFAULT_BUDGET
from pybpftime.errors import BpfError, InputError
from pybpftime.machine import LENIENT

USAGE = """\
usage: pybpftime-plugin [MEMORY] [--program HEX | --elf] [--budget N] [--debug]

Runs one eBPF program and prints r0 in hex.  MEMORY is hex; the program is hex as well, or comes on standard input.

  --program HEX   the program (else: standard input)
  --elf           standard input is an ELF object
  --budget N      instructions that the run may take
  --debug         accepted and ignored
"""

ELF_MAGIC = b"\x7fELF"
MAX_INPUT = 64 << 20
"""The longest standard input that is read, in bytes."""
IGNORED = frozenset({"--debug", "--interpret"})


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line; `program` is None when it comes on standard input."""

    memory: bytes = b""
    program: bytes | None = None
    elf: bool = False
    budget: int = DEFAULT_BUDGET
    help: bool = False


def main() -> None:
    """The console script."""
    prepare_streams()
    try:
        code, text = run_plugin(sys.argv[1:], _standard_input)
    except KeyboardInterrupt:
        code, text = 1, "interrupted\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        code = BROKEN_PIPE if isinstance(error, BrokenPipeError) else 1
        if code == 1 and sys.stderr is not None:
            sys.stderr.write(f"error: {not_written(error)}\n")
    sys.exit(code)


def _standard_input() -> bytes:
    try:
        content: bytes = sys.stdin.buffer.read(MAX_INPUT + 1)
    except OSError as error:
        raise InputError(f"standard input cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_INPUT:
        raise InputError(f"standard input has more than {MAX_INPUT >> 20} MiB")
    return content


def run_plugin(arguments: Sequence[str], read_input: Callable[[], bytes]) -> tuple[int, str]:
    """The exit code, and the text for standard output.  `read_input` gives standard input, and is called if needed."""
    try:
        parsed = parse_arguments(arguments)
        if parsed.help:
            return 0, USAGE
        code = read_input() if parsed.program is None else parsed.program
        if parsed.program is None and not code.startswith(ELF_MAGIC):
            code = _hex(code.decode("utf-8", errors="replace"), "standard input")
        r0 = _run_object(code, parsed) if parsed.elf else run_code(code, parsed.memory, parsed.budget)
    except BpfError as error:
        return 1, " ".join(str(error).split()) + "\n"
    return 0, f"{r0:x}\n"


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """InputError for what the protocol does not know."""
    values: dict[str, str] = {}
    memory: list[str] = []
    flags: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in ("--program", "--budget"):
            value = value if equals else next(rest, "")
            if not value.strip():
                raise InputError(f"{name} needs a value")
            values[name] = value
        elif argument in ("--elf", "--help", "-h") or argument in IGNORED:
            flags.add(argument)
        elif argument.startswith("-"):
            raise InputError(f"unknown option {argument[:40]}; see --help")
        else:
            memory.append(argument)
    if len(memory) > 1:
        raise InputError("more than one argument for memory")
    if "--elf" in flags and "--program" in values:
        raise InputError("--elf reads standard input, so --program cannot be given")
    budget = values.get("--budget", str(DEFAULT_BUDGET))
    if not (budget.isdecimal() and budget.isascii() and 0 < int(budget[:20]) < 1 << 62):
        raise InputError(f"--budget takes a number of instructions, not {budget[:40]!r}")
    return Arguments(
        memory=_hex(memory[0], "the memory") if memory else b"",
        program=_hex(values["--program"], "the program") if "--program" in values else None,
        elf="--elf" in flags,
        budget=int(budget),
        help=bool(flags & {"--help", "-h"}),
    )


def _hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        wrong = next((character for character in text if character not in "0123456789abcdefABCDEF \t\r\n\f\v"), None)
        reason = "its digits do not come in pairs" if wrong is None else f"it has {wrong!r}"
        raise InputError(f"{what} is no hex: {reason}") from None


def _run_object(content: bytes, arguments: Arguments) -> int:
    """r0 of the first program of an object; of the code in .text, as bpf_conformance writes it, when it has none."""
    from pybpftime.program.elf_file import read_elf
    from pybpftime.program.types import PROGRAM_TYPES
    from pybpftime.runtime import load

    if not content.startswith(ELF_MAGIC):
        raise InputError("standard input is no ELF object")
    loaded = load(content, level=LENIENT)
    if not loaded.programs:
        section = read_elf(content).find(".text")
        if section is None:
            raise InputError("the object has no program")
        return run_code(bytes(section.data), arguments.memory, arguments.budget)
    program = next(iter(loaded))
    if PROGRAM_TYPES[program.type].takes_packet:
        return program.run(arguments.memory, budget=arguments.budget).r0
    return program.run(mem=arguments.memory, budget=arguments.budget).r0


if __name__ == "__main__":
    main()
