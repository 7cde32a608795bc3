"""Writes docs/reference/helpers.md: every helper of Linux, and the contract of those that are declared.

    python -m tools.gen_helper_docs [--check]

Nothing in that file is written by hand; `--check` says whether it is what this program would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pybpftime.helpers import KNOWN, HelperDeclaration, default_helpers
from pybpftime.helpers.declarations import (
    DECLARATIONS,
    FAMILIES,
    ArgumentKind,
    ResultKind,
    ResultRole,
    Role,
    declarations_of,
)
from pybpftime.uapi import ProgramType
from tools.generated import write_or_check

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference" / "helpers.md"
EXAMPLE = ROOT / "docs" / "examples" / "helpers" / "fnv.py"

INTRODUCTION = """\
# Helpers

This file is written by `tools/gen_helper_docs.py` from the declarations in `pybpftime/helpers/declarations`.

Linux 6.18 has {known} helpers. {declared} are declared here, and {done} are implemented. A call of any other is a
fault when it is executed, and a program that never reaches it runs.

A declaration gives the arguments by their kinds, which say what the kernel's verifier demands of each register, and
what a running program is held to here: a breach is a fault that names helper and argument. Memory is followed by its
size. *Errors* are returned as negative numbers. A helper without *Programs* may be called by all program types;
*GPL* marks those for programs under a GPL-compatible license, *moves the packet* those after which every packet
pointer is invalid, *takes packet memory* those whose memory arguments may lie in the packet. *In* says what programs
of some types give instead. At the lenient level every program may call every helper.
"""

OWN_HELPERS = """\
## Helpers of your own

A Python file declares and implements them; `load_helper_module` loads it, and `HelperTable.extended` adds what it
declares. Numbers from 0x10000 on are free. A helper without a number is an extern, found by its name. An installed
package offers a module as an entry point of the group `pybpftime.helpers`.

`docs/examples/helpers/fnv.py`:

```python
{example}```

A test replaces what a helper does:

```python
table = default_helpers().replaced("bpf_ktime_get_ns", lambda machine: 42)
```
"""

ARGUMENTS = {
    Role.ANYTHING: "any value that was written",
    Role.UNCHECKED: "anything, or nothing",
    Role.MAP: "the address of a map, as a map reference loads it",
    Role.MAP_KEY: "pointer to a key of that map",
    Role.MAP_VALUE: "pointer to a value of that map",
    Role.MEMORY: "pointer to as many bytes as the next argument says",
    Role.FIXED_MEMORY: "pointer to {size} bytes",
    Role.SIZE: "the length of the memory before it",
    Role.ALLOCATION_SIZE: "a constant: how many bytes the result points to",
    Role.CONTEXT: "the program's context",
    Role.FUNCTION: "the address of a static function of the program",
    Role.STACK: "pointer into the stack, for the callback",
    Role.CONSTANT_STRING: "pointer to a zero-terminated string in read-only data",
    Role.SPIN_LOCK: "pointer to the struct bpf_spin_lock in a map value",
    Role.TIMER: "pointer to a struct bpf_timer in a map value",
    Role.RECORD: "what bpf_ringbuf_reserve returned",
    Role.OBJECT: "pointer to {object}",
    Role.PER_CPU_OBJECT: "address of a per-cpu variable",
    Role.SOCKET: "pointer to the struct bpf_sock of a full socket",
    Role.SOCK_COMMON: "pointer to a struct bpf_sock, which may be no full socket",
    Role.ANY_SOCKET: "pointer to a struct bpf_sock, or to a socket of the kernel",
    Role.DYNPTR: "pointer to a struct bpf_dynptr on the stack",
    Role.KPTR: "pointer to a field that holds a kernel pointer",
}
RESULTS = {
    ResultRole.INTEGER: "a number; errors as negative numbers",
    ResultRole.VOID: "nothing: it cannot be read",
    ResultRole.MAP_VALUE: "pointer to a value of the map argument",
    ResultRole.MEMORY: "pointer to as many bytes as were asked for",
    ResultRole.OBJECT: "pointer to {object}",
    ResultRole.THIS_CPU: "pointer to the variable of one cpu, read-only",
    ResultRole.SOCKET: "pointer to the struct bpf_sock of a full socket",
    ResultRole.SOCK_COMMON: "pointer to a struct bpf_sock, which may be no full socket",
    ResultRole.TCP_SOCKET: "pointer to a struct bpf_tcp_sock",
}


def document() -> str:
    """The whole text."""
    return "\n".join(
        [
            INTRODUCTION.format(known=len(KNOWN), declared=len(DECLARATIONS), done=len(_implemented())),
            _kinds(),
            *(_family(module) for module in FAMILIES),
            OWN_HELPERS.format(example=EXAMPLE.read_text("utf-8")),
            _numbers(),
        ]
    )


def _implemented() -> set[str]:
    return {helper.declaration.name for helper in default_helpers() if helper.function is not None}


def _kinds() -> str:
    arguments: dict[str, ArgumentKind] = {}
    results: dict[str, ResultKind] = {}
    for declaration in DECLARATIONS.values():
        results.setdefault(declaration.returns.name, declaration.returns)
        for parameters in (declaration.parameters, *(variant.parameters for variant in declaration.variants)):
            arguments.update({parameter.kind.name: parameter.kind for parameter in parameters})
    lines = ["## Kinds", "", "| Kind | Linux | The register holds |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {_linux(kind.linux)} | {_argument(kind)} |" for name, kind in sorted(arguments.items())]
    lines += ["", "| Result | Linux | r0 holds |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {_linux(kind.linux)} | {_result(kind)} |" for name, kind in sorted(results.items())]
    return "\n".join(lines) + "\n"


def _linux(text: str) -> str:
    return text.replace("|", "\\|")


def _argument(kind: ArgumentKind) -> str:
    words = [ARGUMENTS[kind.role].format(size=kind.size, object=_object(kind.type_name))]
    words += ["aligned"] * kind.aligned
    words += [f"of {kind.dynptr} memory"] * bool(kind.dynptr)
    if kind.callback is not None:
        words.append(f"called{' later' * kind.callback.later} with ({', '.join(kind.callback.arguments)})")
    words += [f"which carries a packet of kind {kind.packet}"] * bool(kind.packet)
    words += ["or NULL"] * kind.nullable + ["or 0"] * kind.zero
    if kind.writes:
        words.append("read and written" if kind.reads else "written; need not be initialised")
    words += ["which may hold pointers"] * kind.pointers
    words += ["given up"] * kind.releases + ["to be given up by another helper"] * kind.acquires
    return ", ".join(words)


def _result(kind: ResultKind) -> str:
    words = [RESULTS[kind.role].format(object=_object(kind.type_name))]
    words += ["or NULL, which the program must check"] * kind.nullable
    words += ["to be given up by another helper"] * kind.acquires
    words += ["given up with the argument, which it is"] * kind.casts
    return ", ".join(words)


def _object(type_name: str | None) -> str:
    return "an object of the field's type" if type_name is None else f"a struct {type_name} of the kernel"


def _family(module: ModuleType) -> str:
    title = (module.__doc__ or "").partition("\n")[0]
    lines = [f"## {title.partition('  Source:')[0].rstrip('.')}", ""]
    for declaration in declarations_of(module).values():
        lines += _helper(declaration)
    return "\n".join(lines)


def _helper(declaration: HelperDeclaration) -> Iterator[str]:
    facts = [f"number {declaration.id}", f"since Linux {declaration.since}"]
    facts += ["GPL"] * declaration.gpl_only + ["moves the packet"] * declaration.changes_packet
    facts += ["takes packet memory"] * declaration.packet_access
    facts += ["may sleep"] * declaration.may_sleep
    if declaration.map_operation is not None:
        facts.append(f"maps with {declaration.map_operation}")
    if declaration.name not in _implemented():
        facts.append("**not implemented**")
    yield from (f"### {declaration.name}", "", "```python", _signature(declaration), "```", "")
    yield from ("; ".join(facts)[0].upper() + "; ".join(facts)[1:] + ".", "")
    yield from (declaration.documentation, "")
    for variant in declaration.variants:
        others = ", ".join(
            f"`{other.name}: {other.kind.name}`"
            for other, usual in zip(variant.parameters, declaration.parameters, strict=True)
            if other != usual
        )
        yield from (f"In {_programs(variant.programs)}: {others}.", "")
    if declaration.programs is not None:
        excepted = ", ".join(sorted(each.name for each in declaration.not_attached_to))
        yield from (f"Programs: {_programs(declaration.programs)}{f'; not with {excepted}' if excepted else ''}.", "")


def _signature(declaration: HelperDeclaration) -> str:
    text = declaration.signature
    if len(text) <= 110:
        return text
    lines = [f"    {parameter.name}: {parameter.kind.name}," for parameter in declaration.parameters]
    return "\n".join([f"{declaration.name}(", *lines, f") -> {declaration.returns.name}"])


def _programs(programs: frozenset[ProgramType]) -> str:
    """The shorter of both: who may, or who may not."""
    every = frozenset(ProgramType) - {ProgramType.BPF_PROG_TYPE_UNSPEC}
    missing = every - programs
    listed, prefix = (missing, "all but ") if len(missing) < len(programs) else (programs, "")
    return prefix + ", ".join(_short(each) for each in sorted(listed))


def _short(program_type: ProgramType) -> str:
    return program_type.name.removeprefix("BPF_PROG_TYPE_").lower()


def _numbers() -> str:
    done = _implemented()
    lines = ["## All by number", "", "| Number | Name | Here |", "| --- | --- | --- |"]
    for number, name in KNOWN.items():
        state = "implemented" if name in done else "declared" if number in DECLARATIONS else "known"
        shown = f"[{name}](#{name})" if number in DECLARATIONS else name
        lines.append(f"| {number} | {shown} | {state} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """0 when the file is (now) right, 1 when `--check` found it to differ."""
    return write_or_check(TARGET, document(), "tools.gen_helper_docs", arguments)


if __name__ == "__main__":
    sys.exit(main())
