"""What section names and --at say about where a program is attached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.attach.target import ProbeKind, ProbeTarget, parse_place, parse_target
from pybpftime.errors import InputError
from pybpftime.isa import Program
from pybpftime.program.sections import SECTION_RULES, section_meaning
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType

UPROBE, URETPROBE = ProbeKind.UPROBE, ProbeKind.URETPROBE


def spec_of(section: str) -> ProgramSpec:
    """A program as the loader makes it from a section of that name."""
    meaning = section_meaning(section)
    return ProgramSpec(
        "probe", Program(()), type=meaning.type, section=section, attach_type=meaning.attach_type,
        attach_to=meaning.attach_to, flags=meaning.flags, file="object.o",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("section", "target"),
    [
        ("uprobe/libc.so.6:malloc", ProbeTarget(UPROBE, "libc.so.6", "malloc", 0)),
        ("uretprobe/libc.so.6:malloc", ProbeTarget(URETPROBE, "libc.so.6", "malloc", 0)),
        ("?uprobe.s//bin/bash:readline", ProbeTarget(UPROBE, "/bin/bash", "readline", 0)),
        ("uretprobe.s/./a.out:main", ProbeTarget(URETPROBE, "./a.out", "main", 0)),
        ("uprobe//bin/bash:readline+0x10", ProbeTarget(UPROBE, "/bin/bash", "readline", 16)),
        ("uprobe//bin/bash:readline+10", ProbeTarget(UPROBE, "/bin/bash", "readline", 10)),
        ("uprobe//bin/bash:readline+010", ProbeTarget(UPROBE, "/bin/bash", "readline", 8)),
        ("uprobe//bin/bash:0x1234", ProbeTarget(UPROBE, "/bin/bash", None, 0x1234)),
        ("uretprobe//bin/bash:0X1234", ProbeTarget(URETPROBE, "/bin/bash", None, 0x1234)),
        ("uretprobe//bin/bash:main+0", ProbeTarget(URETPROBE, "/bin/bash", "main", 0)),
        ("uprobe/libc.so.6:fopen@@GLIBC_2.2.5", ProbeTarget(UPROBE, "libc.so.6", "fopen@@GLIBC_2.2.5", 0)),
        ("uprobe/a:operator+", ProbeTarget(UPROBE, "a", "operator+", 0)),
        ("uprobe/a:f+g", ProbeTarget(UPROBE, "a", "f+g", 0)),
        ("uprobe/a:f+g+1", ProbeTarget(UPROBE, "a", "f+g", 1)),
        ("uprobe/a:b:c", ProbeTarget(UPROBE, "a", "b:c", 0)),
    ],
)
def test_sections(section: str, target: ProbeTarget) -> None:
    assert parse_target(spec_of(section)) == target


@pytest.mark.parametrize("section", ["uprobe", "uprobe/other:place"])
def test_at_stands_for_the_place(section: str) -> None:
    assert parse_target(spec_of(section), "libc.so.6:malloc") == ProbeTarget(UPROBE, "libc.so.6", "malloc", 0)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("uprobe", r'does not say where: write SEC\("uprobe/PATH:FUNCTION"\), or --at PATH:FUNCTION'),
        ("uretprobe.s", r'does not say where: write SEC\("uretprobe/PATH:FUNCTION"\)'),
        ("uprobe/libc.so.6", "'libc.so.6' names no function; write PATH:FUNCTION"),
        ("uprobe/libc.so.6:", "'libc.so.6:' names no function"),
        ("uprobe/:malloc", "':malloc' names no path"),
        ("uprobe/a:12z", "'12z' is neither the name of a function nor a byte of the file"),
        ("uprobe/a:08", "'08' is neither"),
        ("uprobe/a:f+-4", "'a:f.-4' lies before the function"),
        ("uprobe/a:0xffffffffffffffff", "no file is so large"),
        ("uprobe/a:f+" + "9" * 6000, "no file is so large"),
        ("uprobe/a:f\0", "has characters that no name has"),
        ("uprobe/a:f\n", r"'a:f\\n' has characters that no name has"),
        ("uretprobe/a:f+4", "f.0x4 lies inside the function, and a uretprobe finds the return address only where"),
        ("uprobe.multi/a:f*", "its section is uprobe.multi, a probe of several functions, which is not served yet"),
        ("uretprobe.multi.s/a:f*", "which is not served yet"),
        ("uprobe.session/a:f*", "which is not served yet"),
        ("usdt/a:b:c", "a statically defined tracepoint, which is not served yet"),
        ("kprobe/do_unlinkat", "it is a kprobe: a probe of the kernel, which user space cannot serve"),
        ("kretprobe/do_unlinkat", "it is a kretprobe: a probe of the kernel, which user space cannot serve"),
        ("ksyscall/openat", "a probe of the kernel's code for a system call, which user space cannot serve"),
        ("fentry/do_unlinkat", r"it is of type tracing \(section fentry/do_unlinkat\), which the kernel runs"),
        ("tracepoint/syscalls/sys_enter_openat", r"it is of type tracepoint \(section"),
        ("perf_event", "it is of type perf_event"),
        ("xdp", r"it is of type xdp \(section xdp\), which the kernel runs, not a process"),
        ("my_own_section", "section my_own_section does not say whether it is a uprobe or a uretprobe"),
        ("", "no section does not say|section  does not say"),
    ],
)
def test_what_cannot_be_served_is_refused(section: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        parse_target(spec_of(section))
    assert str(error.value).startswith("object.o: program probe: ")
    assert "\n" not in str(error.value)


def test_a_uprobe_by_type_alone_needs_its_kind() -> None:
    """The section may say anything if the type was given by hand, but entry or return it must say."""
    spec = ProgramSpec("probe", Program(()), type=ProgramType.BPF_PROG_TYPE_KPROBE, section="xdp")
    with pytest.raises(InputError, match="section xdp does not say whether it is a uprobe or a uretprobe"):
        parse_target(spec, "libc.so.6:malloc")


def test_every_section_is_a_target_or_refused() -> None:
    """A section that libbpf knows and this does not is refused with a reason of its own, not as unknown."""
    served = set()
    for rule in SECTION_RULES:
        try:
            parse_target(spec_of(rule.name), "a:f")
            served.add(rule.name)
        except InputError as error:
            assert "does not say" not in str(error), rule.name
    assert served == {"uprobe", "uprobe.s", "uretprobe", "uretprobe.s"}


@given(st.text(alphabet="ab:+-@/.0x19\0 \n", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    try:
        binary, symbol, offset = parse_place(text)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert binary
        assert symbol != ""
        assert 0 <= offset < 1 << 63
        assert text.startswith(f"{binary}:{symbol or ''}")


@pytest.mark.parametrize("text", ["uprobe/libc.so.6:malloc", "uprobe//bin/bash:main+0x4", "uretprobe//bin/bash:0x40"])
def test_targets_print_as_sections(text: str) -> None:
    assert str(parse_target(spec_of(text))) == text
