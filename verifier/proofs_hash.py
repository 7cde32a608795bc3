"""What a proof rests on, summed up: a hash of the source that changes when the proof has to be done again."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from pybpftime.verifier.proofs_source import DOMAIN

FOLDER = Path(__file__).parent / "domain"


def fingerprint(function: str, uses: frozenset[str], others: str) -> str:
    """A short hash of what a proof of `function` is about: its `closure`, and `others`."""
    parts = [others, *(f"{name}: {text}" for name, text in closure(function, uses).items())]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def closure(function: str, uses: frozenset[str]) -> dict[str, str]:
    """A function and every name of the domain that it leads to, but for `uses`, of which only contracts are known.

    Each with its source; comments, docstrings and layout do not count.  Names that are no members of a module, such as
    local variables, have none.
    """
    found: dict[str, str] = {}
    waiting = [function]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name], names = _definition(name)
        waiting += names - uses
    return found


def functions() -> set[str]:
    """Every function of the domain's modules; methods are part of their class."""
    return {
        f"{path.stem}.{name}"
        for path in FOLDER.glob("*.py")
        for name, node in _module_source(path.stem)[0].items()
        if isinstance(node, ast.FunctionDef)
    }


def bare(node: ast.AST) -> str:
    """A piece of source without docstrings, comments and layout."""
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list):
            inner.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]  # a node with a body
    return ast.dump(node)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


@cache
def _definition(name: str) -> tuple[str, frozenset[str]]:
    """The source of a module's member, and the members of the domain that it names."""
    module, _, member = name.partition(".")
    definitions, imported = _module_source(module)
    node = definitions.get(member)
    if node is None:
        return "", frozenset()
    names: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            names.add(f"{imported.get(inner.value.id, '')}.{inner.attr}".removeprefix("."))
        elif isinstance(inner, ast.Name):
            names.add(imported.get(inner.id, f"{module}.{inner.id}"))
    return bare(node), frozenset(name for name in names if "." in name)


@cache
def _module_source(module: str) -> tuple[dict[str, ast.stmt], dict[str, str]]:
    """What a module of the domain defines, and what the names that it imports from the domain stand for."""
    path = FOLDER / f"{module}.py"
    definitions: dict[str, ast.stmt] = {}
    imported: dict[str, str] = {}
    for node in ast.parse(path.read_text("utf-8")).body if path.is_file() else ():
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(DOMAIN):
            source = node.module.removeprefix(DOMAIN).removeprefix(".")
            imported |= {alias.name: f"{source}.{alias.name}".removeprefix(".") for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            definitions |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return definitions, imported
