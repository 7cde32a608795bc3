"""Which helpers a machine has: declarations bound to implementations, in a table that is a plain value.

    @implements("bpf_get_numa_node_id")
    def get_numa_node_id(machine: Machine) -> int:
        return machine.environment.numa_node

An implementation gets the machine and one value for each of the declaration's `arguments` (see `marshal` for what
each kind becomes).  It returns the number for r0, of 64 bits, a negative errno included, or None for helpers of kind
Void.  MapError becomes its errno; Fault ends the run.  What else goes wrong in an implementation that a user added is
an InputError (see `guard`).
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, ModuleType
from typing import Any

from pybpftime.errors import InputError
from pybpftime.helpers.declarations import FIRST_USER_ID, HelperDeclaration, declarations_of
from pybpftime.helpers.guard import guarded
from pybpftime.machine import Rounds

MAX_MODULE = 4 << 20
"""The largest file with helpers that is read, in bytes."""
FIRST_EXTERN_ID = 0x4000_0000
"""Helpers that are declared without an id get ids from here on, in the order of their declaration."""

ENTRY_POINTS = "pybpftime.helpers"

Function = Callable[..., int | Rounds | None]


@dataclass(frozen=True, slots=True)
class Implementation:
    """A function, and the name of the helper that it implements."""

    name: str
    function: Function

    def __call__(self, *arguments: Any) -> int | Rounds | None:
        return self.function(*arguments)


def implements(declared: str | HelperDeclaration) -> Callable[[Function], Implementation]:
    """Decorator: the function implements that helper."""
    name = declared if isinstance(declared, str) else declared.name
    return lambda function: Implementation(name, function)


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper of a table; `function` is None when it is declared but not implemented."""

    id: int
    declaration: HelperDeclaration
    function: Function | None = None


class HelperTable:
    """Helpers by id.  Never changes: `extended` and `replaced` return new tables."""

    __slots__ = ("_by_id", "_by_name")

    def __init__(self, helpers: Iterable[Helper] = ()) -> None:
        """InputError when an id or a name comes twice, or a function does not take what the declaration gives."""
        by_id: dict[int, Helper] = {}
        by_name: dict[str, Helper] = {}
        for helper in helpers:
            name = helper.declaration.name
            if helper.id in by_id:
                raise InputError(f"helper id {helper.id} belongs to {by_id[helper.id].declaration.name}, not to {name}")
            if name in by_name:
                raise InputError(f"helper {name} has two ids, {by_name[name].id} and {helper.id}")
            if helper.function is not None:
                _check_arity(helper.declaration, helper.function)
            by_id[helper.id] = by_name[name] = helper
        self._by_id: Mapping[int, Helper] = MappingProxyType(by_id)
        self._by_name: Mapping[str, Helper] = MappingProxyType(by_name)

    def __iter__(self) -> Any:
        """The helpers, by ascending id."""
        return iter(sorted(self._by_id.values(), key=lambda helper: helper.id))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, helper_id: int) -> Helper | None:
        """The helper with this id."""
        return self._by_id.get(helper_id)

    def find(self, name: str) -> Helper | None:
        """The helper of this name: for externs, which programs call by name."""
        return self._by_name.get(name)

    def name_of(self, helper_id: int) -> str | None:
        """The name behind an id, of helpers that Linux has and this table has not too."""
        from pybpftime.helpers.declarations.known import KNOWN

        helper = self._by_id.get(helper_id)
        return KNOWN.get(helper_id) if helper is None else helper.declaration.name

    def beside_linux(self) -> Mapping[int, HelperDeclaration | None]:
        """How the table differs from Linux's helpers: other declarations by id, None for what it has not."""
        from pybpftime.helpers.declarations.families import DECLARATIONS

        missing = {helper_id: None for helper_id in DECLARATIONS if helper_id not in self._by_id}
        declared = {helper_id: helper.declaration for helper_id, helper in self._by_id.items()}
        return missing | {
            helper_id: declaration
            for helper_id, declaration in declared.items()
            if DECLARATIONS.get(helper_id) != declaration
        }

    def extended(self, *additions: ModuleType | Helper) -> HelperTable:
        """This table with the helpers that modules declare and implement, or with single ones.

        InputError for ids below 0x10000 (those are Linux's; see `replaced`) and for names that are taken.
        """
        helpers = list(self._by_id.values())
        for addition in additions:
            if isinstance(addition, Helper):
                helpers.append(_of_user(addition, addition.function))
                continue
            declared = declarations_of(addition).values()
            functions = implementations_of([addition], {declaration.name: declaration for declaration in declared})
            for declaration in declared:
                helper_id = declaration.id
                if helper_id is None:
                    taken = [helper.id for helper in helpers if helper.id >= FIRST_EXTERN_ID]
                    helper_id = max(taken, default=FIRST_EXTERN_ID - 1) + 1
                elif not FIRST_USER_ID <= helper_id < FIRST_EXTERN_ID:
                    rule = f"ids from {FIRST_USER_ID:#x} to {FIRST_EXTERN_ID - 1:#x} are for helpers of users"
                    raise InputError(f"helper {declaration.name} has the id {helper_id:#x}: {rule}")
                helpers.append(_of_user(Helper(helper_id, declaration), functions.get(declaration.name)))
        return HelperTable(helpers)

    def replaced(self, name: str, function: Function) -> HelperTable:
        """This table with another implementation of one helper, for tests.  InputError when there is no such helper."""
        if name not in self._by_name:
            raise InputError(f"there is no helper {name} to replace")
        return HelperTable(
            _of_user(helper, function) if helper.declaration.name == name else helper for helper in self._by_id.values()
        )


def _of_user(helper: Helper, function: Function | None) -> Helper:
    """`helper` with an implementation that is not of this package."""
    if isinstance(function, Implementation):
        function = function.function
    return replace(helper, function=None if function is None else guarded(helper.declaration, function))


def _check_arity(declaration: HelperDeclaration, function: Function) -> None:
    arguments = ["machine", *(parameter.name for parameter in declaration.arguments)]
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        wanted = f"{declaration.name} is implemented by a function of ({', '.join(arguments)})"
        raise InputError(f"{wanted}; {function!r} takes other arguments") from None
    except ValueError:
        return  # a builtin that does not tell its signature


def implementations_of(
    modules: Iterable[ModuleType], declarations: Mapping[str, HelperDeclaration]
) -> dict[str, Function]:
    """The functions in `modules` that are marked with `implements`, by the name of their helper."""
    found: dict[str, Function] = {}
    for module in modules:
        for value in vars(module).values():
            if not isinstance(value, Implementation) or found.get(value.name) is value.function:
                continue
            if value.name not in declarations:
                raise InputError(f"{module.__name__} implements {value.name}, which is not declared")
            if value.name in found:
                raise InputError(f"helper {value.name} is implemented twice")
            found[value.name] = value.function
    return found


@functools.cache
def default_helpers() -> HelperTable:
    """The helpers of Linux: all that are declared, with the implementations of this package."""
    from pybpftime.helpers.declarations.families import DECLARATIONS
    from pybpftime.helpers.implementations import FAMILIES

    declarations = {declaration.name: declaration for declaration in DECLARATIONS.values()}
    functions = implementations_of(FAMILIES, declarations)
    return HelperTable(
        Helper(helper_id, declaration, functions.get(declaration.name))
        for helper_id, declaration in DECLARATIONS.items()
    )


def load_helper_module(path: str | os.PathLike[str]) -> ModuleType:
    """Run the Python file at `path`, which declares and implements helpers, for `HelperTable.extended`.

    Its code runs with all rights of this process.  InputError when it cannot be read or fails.
    """
    import importlib.util
    from pathlib import Path

    path = Path(path)
    name = f"pybpftime_helpers_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError("no Python module (its name ends with .py)", file=str(path))
    module = importlib.util.module_from_spec(spec)
    # The annotations of declarations are looked up in the module by its name.
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        if path.stat().st_size > MAX_MODULE:
            raise InputError(f"has more than {MAX_MODULE >> 20} MiB")
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _module_failure(str(path), error) from error
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
    return module


def _module_failure(file: str, error: BaseException) -> InputError:
    """What is wrong with a module of helpers, and in which line of it."""
    from traceback import extract_tb

    line = next((frame.lineno for frame in reversed(extract_tb(error.__traceback__)) if frame.filename == file), None)
    if isinstance(error, InputError):
        return error.at(file=file, line=line)
    if isinstance(error, SyntaxError) and error.filename in (file, None):
        column = error.offset if error.lineno else None  # a wrong declaration of the encoding is in line 0
        return InputError(f"is no Python: {error.msg}", file=file, line=error.lineno or None, column=column)
    if isinstance(error, OSError) and error.filename == file:
        return InputError(f"cannot be read: {error.strerror}", file=file)
    reason = " ".join(str(error).split())
    return InputError(f"the module fails: {type(error).__name__}{': ' if reason else ''}{reason}", file=file, line=line)


def installed_helper_modules() -> list[ModuleType]:
    """The modules that installed packages offer as entry points of the group `pybpftime.helpers`, by name.

    InputError when one cannot be imported or is no module.
    """
    from importlib import metadata

    modules = []
    for entry_point in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            module = entry_point.load()
        except Exception as error:
            raise InputError(f"entry point {entry_point.name} ({entry_point.value}) fails: {error}") from error
        if not isinstance(module, ModuleType):
            raise InputError(f"entry point {entry_point.name} ({entry_point.value}) is no module")
        modules.append(module)
    return modules
