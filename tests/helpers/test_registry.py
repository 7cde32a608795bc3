"""Tables of helpers: what they hold, how users extend them, and the worked example of the documentation."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from support.helper_calls import Caller, Memory

from pybpftime.errors import Fault, FaultKind, InputError
from pybpftime.helpers import (
    Helper,
    HelperTable,
    Implementation,
    bind,
    default_helpers,
    helper,
    implements,
    installed_helper_modules,
    load_helper_module,
)
from pybpftime.helpers.declarations import DECLARATIONS
from pybpftime.helpers.declarations.kinds import Anything, Integer, Mem, Size
from pybpftime.helpers.implementations import FAMILIES
from pybpftime.machine import Machine
from pybpftime.uapi import ProgramType

EXAMPLE = Path("docs/examples/helpers/fnv.py")


def test_the_default_table() -> None:
    table = default_helpers()
    assert len(table) == len(DECLARATIONS)
    assert [each.id for each in table] == list(DECLARATIONS)
    assert default_helpers() is table


def test_helpers_that_are_only_declared_are_known_and_not_implemented(caller: Caller) -> None:
    """Whatever the type of the program: Linux may refuse the call too, but here it is missing for everybody."""
    without = [each for each in default_helpers() if each.function is None]
    assert {"bpf_sk_lookup_tcp", "bpf_d_path"} < {each.declaration.name for each in without}
    for each in without:
        with pytest.raises(Fault, match=f"{each.declaration.name}#{each.id} is not implemented") as fault:
            bind(each.id, default_helpers(), caller.machine, ProgramType.BPF_PROG_TYPE_XDP)()
        assert fault.value.kind is FaultKind.TRAP


def test_every_implementation_is_in_the_table() -> None:
    marked = [value for module in FAMILIES for value in vars(module).values() if isinstance(value, Implementation)]
    assert {each.name for each in marked} == {each.declaration.name for each in default_helpers() if each.function}


def test_look_up() -> None:
    table = default_helpers()
    by_id, by_name = table.get(5), table.find("bpf_ktime_get_ns")
    assert by_id is by_name is not None
    assert by_id.declaration.name == "bpf_ktime_get_ns"
    assert table.get(999) is table.find("bpf_none") is None
    assert (table.name_of(5), table.name_of(69), table.name_of(999)) == ("bpf_ktime_get_ns", "bpf_fib_lookup", None)


def test_a_replaced_helper() -> None:
    caller = Caller()
    table = caller.table.replaced("bpf_ktime_get_ns", lambda machine: 42)
    assert caller.call("bpf_ktime_get_ns", table=table).r0 == 42
    assert caller.call("bpf_ktime_get_ns").r0 != 42  # the table it was made from is as it was
    with pytest.raises(InputError, match="no helper bpf_none to replace"):
        table.replaced("bpf_none", lambda machine: 0)


@pytest.mark.parametrize("function", [lambda: 0, lambda machine, a, b, c: 0, len])
def test_a_function_that_does_not_fit(function: object) -> None:
    with pytest.raises(InputError, match=r"bpf_strncmp is implemented by a function of \(machine, first, second\)"):
        default_helpers().replaced("bpf_strncmp", function)  # type: ignore[arg-type]


def one(a: Anything) -> Integer: ...


def module(**values: object) -> ModuleType:
    made = ModuleType("example")
    vars(made).update(values)
    return made


def test_helpers_of_users() -> None:
    declared = helper(0x10000)(one)
    table = HelperTable().extended(module(declared=declared, done=implements("one")(lambda machine, a: a + 1)))
    assert len(table) == 1
    caller = Caller()
    caller.machine.registers[1] = 41
    bind(0x10000, table, caller.machine, caller.program_type)()
    assert caller.machine.registers[0] == 42


def test_a_helper_may_come_alone() -> None:
    table = HelperTable().extended(Helper(5, helper(5)(one), lambda machine, a: 7))
    assert table.name_of(5) == "one"


@pytest.mark.parametrize("number", [0, 5, 211, 0xFFFF, 0x4000_0000])
def test_ids_of_users_are_not_those_of_linux(number: int) -> None:
    with pytest.raises(InputError, match="ids from 0x10000 to 0x3fffffff are for helpers of users"):
        default_helpers().extended(module(declared=helper(number)(one)))


def test_ids_and_names_are_taken_once() -> None:
    table = HelperTable().extended(module(declared=helper(0x10000)(one)))

    def two(a: Anything) -> Integer: ...

    with pytest.raises(InputError, match="id 65536 belongs to one, not to two"):
        table.extended(module(declared=helper(0x10000)(two)))
    with pytest.raises(InputError, match="helper one has two ids, 65536 and 65537"):
        table.extended(module(declared=helper(0x10001)(one)))


def test_externs_get_ids_of_their_own() -> None:
    def two(a: Anything) -> Integer: ...

    table = HelperTable().extended(module(one=helper()(one), two=helper()(two)))
    assert [(each.declaration.name, each.id) for each in table] == [("one", 0x40000000), ("two", 0x40000001)]

    def three(a: Anything) -> Integer: ...

    found = table.extended(module(three=helper()(three))).find("three")
    assert found is not None
    assert found.id == 0x40000002


def test_what_is_implemented_must_be_declared_once() -> None:
    with pytest.raises(InputError, match="example implements bpf_none, which is not declared"):
        HelperTable().extended(module(done=implements("bpf_none")(lambda machine: 0)))
    twice = {"one": implements("one")(lambda machine, a: 0), "two": implements("one")(lambda machine, a: 1)}
    with pytest.raises(InputError, match="one is implemented twice"):
        HelperTable().extended(module(declared=helper(0x10000)(one), **twice))


# --- files and packages -----------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation(repository: Path) -> None:
    before = set(sys.modules)
    table = default_helpers().extended(load_helper_module(repository / EXAMPLE))
    assert {name for name in set(sys.modules) - before if "fnv" in name} == set()
    caller = Caller(table=table)
    assert caller.call("user_fnv1a", Memory(b"foobar"), 6).r0 == 0x85944171F73967E8
    assert caller.call("user_word_count", Memory(b"one two  three\0"), 15).r0 == 3
    assert caller.call("user_word_count", Memory(b"one two"), 7).signed == -22
    found = table.find("user_word_count")
    assert found is not None
    assert found.id == 0x40000000
    with pytest.raises(Fault, match=r"user_fnv1a: argument 1 \(data, r1\): read of 7 bytes .* 1 byte past the end"):
        caller.call("user_fnv1a", Memory(b"foobar"), 7)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x =", "is no Python: invalid syntax"),
        ("1 / 0", "the module fails: ZeroDivisionError"),
        ("import no_such_module", "the module fails: ModuleNotFoundError"),
        ("raise SystemExit", "the module fails: SystemExit"),
        ("from pybpftime.helpers import helper\n@helper()\ndef f(a): ...", "parameter a is not annotated"),
    ],
)
def test_a_module_that_cannot_be_loaded(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as error:
        load_helper_module(path)
    assert error.value.file == str(path)


@pytest.mark.parametrize("name", ["missing.py", "folder", "text.txt"])
def test_what_is_no_module(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(InputError):
        load_helper_module(tmp_path / name)


def test_a_module_may_have_annotations_as_text(tmp_path: Path) -> None:
    path = tmp_path / "later.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from pybpftime.helpers import helper\n"
        "from pybpftime.helpers.declarations.kinds import Integer, Mem, Size\n"
        "@helper(0x10001)\ndef later(data: Mem, size: Size) -> Integer: ...\n"
    )
    found = HelperTable().extended(load_helper_module(path)).find("later")
    assert found is not None
    assert found.declaration.signature == "later(data: Mem, size: Size) -> Integer"


class EntryPoint:
    def __init__(self, name: str, loaded: object) -> None:
        self.name = name
        self.value = f"package.{name}"
        self.loaded = loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("b", module(name="second")), EntryPoint("a", module(name="first"))]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == "pybpftime.helpers" else [])
    assert [made.name for made in installed_helper_modules()] == ["first", "second"]
    points.append(EntryPoint("c", ImportError("gone")))
    with pytest.raises(InputError, match=r"entry point c \(package.c\) fails: gone"):
        installed_helper_modules()
    points[-1] = EntryPoint("c", 5)
    with pytest.raises(InputError, match="is no module"):
        installed_helper_modules()


def example(data: Mem, size: Size) -> Integer: ...


def test_an_implementation_can_still_be_called() -> None:
    @implements(helper(0x10000)(example))
    def done(machine: Machine, data: bytes) -> int:
        return len(data)

    assert done(Machine(), b"abc") == 3
