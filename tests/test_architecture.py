"""The rules of the house: which room may import what, where each dependency lives, how long things may be.

The rules are data at the top.  Every `import` counts: in functions, under `TYPE_CHECKING` (a type from upstairs is
knowledge of upstairs), and `importlib.import_module` with a literal name.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Top floor first: a room imports itself and what stands further down.
FLOORS = (
    "cli",
    "testing",
    "debug",
    "runtime",
    "syscalls",
    "attach",
    "engines",
    "kernel",
    "program",
    "helpers",
    "maps",
    "machine",
    "isa",
    "uapi",
    "errors",
    "lazy",
)
# The packages beside the house: who may import them, and what they may import.
MAY_IMPORT_VERIFIER = ("cli", "testing", "debug", "runtime", "conformance")
MAY_IMPORT_CONFORMANCE = ("cli",)
VERIFIER_MAY_IMPORT = ("isa", "program", "helpers.declarations", "maps.kinds", "maps.spec", "uapi", "errors")
# Declarations are read by the verifier and by documents, so they know no machine.
DECLARATIONS_MAY_IMPORT = ("helpers.declarations", "maps.kinds", "isa", "uapi", "errors", "lazy")

# These need a host of a certain kind.  Everything else runs wherever CPython does, with the standard library alone.
NOT_PORTABLE = (
    *("cli", "testing", "debug", "runtime", "syscalls", "attach", "kernel", "verifier", "conformance"),
    *("engines.x86_64", "engines.llvm", "engines.aot"),
)
POSIX_ONLY = frozenset(
    {"_curses", "_posixsubprocess", "crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline"}
    | {"resource", "spwd", "syslog", "termios", "tty"}
)

# Dependency -> modules that may import it, and in how many modules it may be known.
DEPENDENCIES = {
    "click": (("cli.*",), None),
    "rich": (("cli.*", "debug.*"), None),
    "elftools": (("program.elf*",), None),
    "pytest": (("testing.*",), None),
    "prompt_toolkit": (("debug.*",), 1),
    "textual": (("debug.tui.*",), None),
    "capstone": (("attach.*",), 1),
    "ptrace": (("attach.*",), 1),
    "llvmlite": (("engines.*",), 1),
    "z3": (("verifier.*",), 1),
    "distributed": (("conformance.fuzz.cluster.*",), 1),
}

LONGEST_FILE = 500
LONGEST_FUNCTION = 60
# Path or path:function -> why it may be longer.  An entry that is no longer needed fails.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


# --- reading the source -----------------------------------------------------------------------------------------------


def _module_name(path: Path) -> str:
    """verifier/domain.py -> pybpftime.verifier.domain, pybpftime/isa/__init__.py -> pybpftime.isa"""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "pybpftime" else ("pybpftime", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            linked = path.is_relative_to(ROOT / "pybpftime/verifier") or path.is_relative_to(
                ROOT / "pybpftime/conformance"
            )
            if not linked and "__pycache__" not in path.parts:
                yield path


def imports_of(source: str, module: str, *, is_package: bool) -> Iterator[tuple[str, int]]:
    """Each dotted name that the source imports, with its line; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called.split(".")[-1] in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


SOURCES = {_module_name(path): path for path in _python_files("pybpftime", "verifier", "conformance")}


def all_imports() -> Iterator[tuple[str, str, str]]:
    """(importing module, imported name, path:line)"""
    for module, path in SOURCES.items():
        for target, line in imports_of(path.read_text("utf-8"), module, is_package=path.name == "__init__.py"):
            yield module, target, f"{path.relative_to(ROOT)}:{line}"


# --- the rules as functions -------------------------------------------------------------------------------------------


def _inside(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def is_portable(module: str) -> bool:
    return not _inside(module.removeprefix("pybpftime."), NOT_PORTABLE)


def objection(module: str, target: str) -> str | None:
    """Why `module` may not import `target`; None when it may."""
    top, _, inner = target.partition(".")
    here = module.removeprefix("pybpftime.")
    if top in ("verifier", "conformance"):
        return f"{top} is imported as pybpftime.{top}"
    if top != "pybpftime":
        return _objection_to_foreign(here, top, portable=is_portable(module))
    if module in ("pybpftime", "pybpftime.__main__") or inner.startswith("__"):
        return None
    if is_portable(module) and not is_portable(target):
        return f"{here} runs anywhere, {inner} does not"
    if _inside(here, ("helpers.declarations",)) and not _inside(inner, DECLARATIONS_MAY_IMPORT):
        return "declarations know no implementation"
    return _objection_between_rooms(here.partition(".")[0], inner)


def _objection_between_rooms(room: str, inner: str) -> str | None:
    there = inner.partition(".")[0]
    if room == there:
        return None
    if there == "verifier":
        return None if room in MAY_IMPORT_VERIFIER else "who verifies is decided upstairs"
    if there == "conformance":
        return None if room in MAY_IMPORT_CONFORMANCE else "nothing depends on the conformance suite"
    if there not in FLOORS:
        return None if room in ("cli", "testing", "conformance") else "the public names stand on top of the house"
    if room == "verifier":
        return None if _inside(inner, VERIFIER_MAY_IMPORT) else "the verifier knows no implementation"
    if room == "conformance":
        return None if there != "cli" else "the command line stands on top"
    return f"{there} stands above {room}" if FLOORS.index(there) < FLOORS.index(room) else None


def _objection_to_foreign(here: str, top: str, *, portable: bool) -> str | None:
    if top in sys.stdlib_module_names:
        return f"{top} is absent on some hosts" if portable and top in POSIX_ONLY else None
    if top not in DEPENDENCIES:
        return f"{top} is no dependency of pybpftime"
    patterns, _ = DEPENDENCIES[top]
    if any(fnmatchcase(f"{here}.", pattern) for pattern in patterns):
        return None
    return f"{top} is known in {', '.join(patterns)} only"


# --- tests of the rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("isa.table", "pybpftime.machine.memory"),
        ("maps.array", "pybpftime.helpers"),
        ("program.btf", "pybpftime.engines.reference"),
        ("errors", "pybpftime.uapi"),
        ("lazy", "pybpftime.errors"),
        ("engines.reference.step", "pybpftime.kernel.syscall"),
        ("engines.reference", "pybpftime.engines.llvm"),
        ("engines.llvm", "pybpftime.verifier"),
        ("verifier.domain", "pybpftime.machine"),
        ("verifier.calls", "pybpftime.helpers.maps"),
        ("helpers.declarations.maps", "pybpftime.machine"),
        ("helpers.declarations.maps", "pybpftime.helpers.time"),
        ("runtime.session", "pybpftime.conformance"),
        ("conformance.runner", "pybpftime.cli.main"),
        ("machine.memory", "pybpftime.load"),
        ("cli.verify", "verifier.domain"),
        ("isa.table", "click"),
        ("program.loader", "elftools.elf.elffile"),
        ("verifier.domain", "numpy"),
        ("machine.memory", "fcntl"),
        ("debug.repl", "z3"),
    ],
)
def test_rules_forbid(module: str, target: str) -> None:
    assert objection(f"pybpftime.{module}", target)


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("machine.memory", "pybpftime.isa.table"),
        ("isa.table", "pybpftime.errors.InputError"),
        ("engines.llvm", "pybpftime.kernel.syscall"),
        ("cli.run", "pybpftime.verifier.verify"),
        ("conformance.runner", "pybpftime.engines.reference"),
        ("conformance.oracle", "pybpftime.verifier"),
        ("verifier.calls", "pybpftime.helpers.declarations.maps"),
        ("helpers.declarations.maps", "pybpftime.helpers.declarations"),
        ("program.elf", "elftools.elf.elffile.ELFFile"),
        ("program.elf_symbols", "elftools"),
        ("cli.main", "pybpftime.__version__"),
        ("cli.run", "pybpftime.load"),
        ("kernel.syscall", "fcntl"),
        ("verifier.terms", "z3"),
    ],
)
def test_rules_allow(module: str, target: str) -> None:
    assert objection(f"pybpftime.{module}", target) is None


def test_every_form_of_import_is_seen() -> None:
    source = textwrap.dedent("""
        import a.b as c
        from d import e
        from . import f
        from ..g import h
        if TYPE_CHECKING:
            from i import j
        def function():
            import k
            importlib.import_module("l.m")
    """)
    in_module = {name for name, _ in imports_of(source, "pybpftime.x.y", is_package=False)}
    assert in_module == {"a.b", "d.e", "pybpftime.x.f", "pybpftime.g.h", "i.j", "k", "l.m"}
    in_package = {name for name, _ in imports_of(source, "pybpftime.x.y", is_package=True)}
    assert {"pybpftime.x.y.f", "pybpftime.x.g.h"} <= in_package


# --- the house --------------------------------------------------------------------------------------------------------


def test_every_room_is_on_the_list() -> None:
    known = {*FLOORS, "verifier", "conformance", "__main__", "pybpftime"}
    assert {module.removeprefix("pybpftime.").partition(".")[0] for module in SOURCES} <= known


def test_imports_follow_the_rules() -> None:
    found = [
        f"{place}: {target}: {why}" for module, target, place in all_imports() if (why := objection(module, target))
    ]
    assert not found, "\n".join(found)


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in SOURCES.values()}
    assert not [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()]


@pytest.mark.parametrize("dependency", [name for name, (_, limit) in DEPENDENCIES.items() if limit == 1])
def test_dependency_is_known_in_one_module(dependency: str) -> None:
    places = {module for module, target, _ in all_imports() if target.partition(".")[0] == dependency}
    assert len(places) <= 1


def test_no_function_rebinds_a_global() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES.values()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Global)
    ]
    assert not found, "state belongs to objects: " + ", ".join(found)


def test_files_are_short() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in _python_files("pybpftime", "verifier", "conformance", "tools", "tests")
    }
    assert not _wrong(lengths, LONGEST_FILE, LONG_FILES)


def test_functions_fit_a_screen() -> None:
    lengths = {}
    for path in _python_files("pybpftime", "verifier", "conformance", "tools"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                name = f"{path.relative_to(ROOT).as_posix()}:{node.name}"
                lengths[name] = max(lengths.get(name, 0), (node.end_lineno or node.lineno) - node.lineno + 1)
    assert not _wrong(lengths, LONGEST_FUNCTION, LONG_FUNCTIONS)


def _wrong(lengths: dict[str, int], limit: int, exempt: dict[str, str]) -> list[str]:
    """What is longer than `limit` lines and not exempt, or exempt without need."""
    return sorted({name for name, length in lengths.items() if length > limit} ^ set(exempt))
