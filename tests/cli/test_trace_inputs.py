"""Which programs `trace` attaches where, and how it reads records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pybpftime.attach.target import ProbeKind, ProbeTarget
from pybpftime.cli.inputs import read_source
from pybpftime.cli.trace import find_targets
from pybpftime.cli.trace_records import Records, hex_dump, record_types
from pybpftime.errors import InputError
from pybpftime.program.sections import MANUAL
from pybpftime.program.spec import ObjectSpec
from pybpftime.uapi import ProgramType

Read = Callable[[str], ObjectSpec]


@pytest.fixture
def read(programs: Path) -> Read:
    return lambda name: read_source(str(programs / f"{name}.bpf.o"))


def with_section(spec: ObjectSpec, name: str, section: str, *, flags: frozenset[str] = frozenset()) -> ObjectSpec:
    """The object with one of its programs in another section."""
    program = replace(spec.programs[name], section=section, type=ProgramType.BPF_PROG_TYPE_KPROBE, flags=flags)
    return replace(spec, programs={**spec.programs, name: program})


# --- which programs, and where ----------------------------------------------------------------------------------------


def test_all_programs_are_attached_where_their_sections_say(read: Read) -> None:
    entry, end = ProbeKind.UPROBE, ProbeKind.URETPROBE
    assert find_targets(read("malloc"), (), ()) == [
        ("malloc_entry", ProbeTarget(entry, "libc.so.6", "malloc", 0)),
        ("malloc_return", ProbeTarget(end, "libc.so.6", "malloc", 0)),
    ]


def test_named_programs_are_attached_in_that_order_and_once(read: Read) -> None:
    names = ("malloc_return", "malloc_entry", "malloc_return")
    assert [name for name, _ in find_targets(read("malloc"), names, ())] == ["malloc_return", "malloc_entry"]


def test_programs_that_libbpf_leaves_out_are_attached_by_name_only(read: Read) -> None:
    spec = with_section(read("malloc"), "malloc_entry", "?uprobe/libc.so.6:malloc", flags=frozenset({MANUAL}))
    assert [name for name, _ in find_targets(spec, (), ())] == ["malloc_return"]
    assert [name for name, _ in find_targets(spec, ("malloc_entry",), ())] == ["malloc_entry"]
    alone = replace(spec, programs={"malloc_entry": spec.programs["malloc_entry"]})
    with pytest.raises(InputError, match=r"attached on demand only \(SEC\(\"\?\.\.\.\"\)\): -p NAME, of malloc_entry"):
        find_targets(alone, (), ())


def test_a_probe_of_the_kernel_is_refused_with_the_programs_that_can_be_attached(read: Read) -> None:
    spec = with_section(read("malloc"), "malloc_return", "kretprobe/do_unlinkat")
    with pytest.raises(InputError) as caught:
        find_targets(spec, (), ())
    assert str(caught.value) == (
        f"{spec.file}: program malloc_return: it is a kretprobe: a probe of the kernel, which user space cannot serve; "
        "processes have uprobes; -p NAME attaches others alone: malloc_entry"
    )
    assert len(find_targets(spec, ("malloc_entry",), ())) == 1
    with pytest.raises(InputError, match=r"processes have uprobes$"):
        find_targets(spec, ("malloc_return",), ())


def test_programs_that_would_be_attached_are_named_where_another_has_no_place(read: Read) -> None:
    with pytest.raises(
        InputError, match=r"program speak: it does not say where: .*; -p NAME attaches others alone: enter$"
    ):
        find_targets(read("live"), (), ("enter=./server:main",))


def test_an_object_without_programs_is_refused(read: Read) -> None:
    with pytest.raises(InputError, match="there is no program in it"):
        find_targets(replace(read("malloc"), programs={}), (), ())


def test_places_may_hold_an_equals_sign(read: Read) -> None:
    [(name, target)] = find_targets(read("live"), ("enter",), ("./a=b:main",))
    assert (name, target.binary, target.symbol) == ("enter", "./a=b", "main")
    [(name, target)] = find_targets(read("live"), ("enter",), ("enter=./a=b:main",))
    assert (name, target.binary, target.symbol) == ("enter", "./a=b", "main")


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["struct line", "line", " struct  line "])
def test_a_type_is_found_with_and_without_its_tag(read: Read, text: str) -> None:
    found = record_types(read("readline"), [f"lines={text}"])
    assert {name: (str(type), type.size) for name, type in found.items()} == {"lines": ("struct line", 148)}


def test_a_typedef_names_a_type(read: Read) -> None:
    [type] = record_types(read("readline"), ["lines=__u32"]).values()
    assert (type.size, type.decode(b"\1\0\0\0"), type.text(1)) == (4, 1, "1")


def test_without_btf_no_type_is_known(read: Read) -> None:
    with pytest.raises(InputError, match="the object has no BTF"):
        record_types(replace(read("readline"), btf=None), ["lines=struct line"])


def test_records_are_decoded_where_their_size_is_that_of_the_type(read: Read) -> None:
    spec = read("readline")
    records = Records(spec, record_types(spec, ["lines=struct line"]))
    decoded = records.decode(spec.maps["lines"], b"\7\0\0\0" + b"sh".ljust(16, b"\0") + b"ls -l".ljust(128, b"\0"))
    assert decoded is not None
    type, value = decoded
    assert value == {"process": 7, "command": "sh", "text": "ls -l"}
    assert type.text(value) == '{.process = 7, .command = "sh", .text = "ls -l"}'
    assert records.notes == []
    for size in (0, 147, 149):
        assert records.decode(spec.maps["lines"], bytes(size)) is None
    assert records.notes == ["lines: a record has 0 bytes and struct line 148: it is shown as bytes"], "said once"


def test_types_of_the_size_of_a_record_are_suggested(read: Read) -> None:
    spec = read("readline")
    records = Records(spec, {})
    assert records.decode(spec.maps["lines"], bytes(148)) is None
    assert records.decode(spec.maps["events"], bytes(5)) is None
    assert records.notes == [
        "lines: records are shown as bytes; --record lines='struct line' shows them by a type of the object",
        "events: records are shown as bytes; --record events=TYPE shows them by a type of the object",
    ]


def test_bytes_are_shown_in_hex_and_as_characters() -> None:
    assert hex_dump(b"") == []
    assert hex_dump(b"\0\x7f~ A\xff") == [f"0000  00 7f 7e 20 41 ff{32 * ' '}|..~ A.|"]
    assert hex_dump(bytes(16 * 4 + 1)) == [
        "0000  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|",
        "*",
        "0040  00                                               |.|",
    ]


def test_long_records_are_cut() -> None:
    dump = hex_dump(bytes(range(256)) * 4)
    assert len(dump) == 17
    assert dump[-2].startswith("00f0  f0 f1")
    assert dump[-1] == "... 768 more bytes (--json shows all)"


def test_a_map_that_is_not_there(read: Read) -> None:
    with pytest.raises(InputError, match="there is no map named lines; there is allocations"):
        record_types(read("malloc"), ["lines=int"])
