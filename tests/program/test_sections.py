"""Section names: the table as such, what names mean, and libbpf's own answers where it is installed."""

from __future__ import annotations

import ctypes
import ctypes.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.program.sections import FRAGS, MANUAL, SECTION_RULES, SLEEPABLE, SectionRule, section_meaning
from pybpftime.uapi import AttachType, ProgramType


@pytest.mark.parametrize("rule", SECTION_RULES, ids=lambda rule: rule.name)
def test_every_rule_is_reached(rule: SectionRule) -> None:
    """No row hides behind an earlier one, with a target or without."""
    for section in [rule.name, *([f"{rule.name}/some/target"] if rule.target else [])]:
        meaning = section_meaning(section)
        assert (meaning.rule, meaning.type, meaning.attach_type) == (rule.name, rule.type, rule.attach_type)
        assert meaning.flags == rule.flags
        assert meaning.note is None


def test_names_are_unique() -> None:
    names = [rule.name for rule in SECTION_RULES]
    assert len(names) == len(set(names)) > 90


@pytest.mark.parametrize(
    ("section", "type", "attach_type", "target", "flags"),
    [
        ("xdp", "XDP", "XDP", None, set()),
        ("xdp.frags/cpumap", "XDP", "XDP_CPUMAP", None, {FRAGS}),
        ("tc", "SCHED_CLS", None, None, set()),
        ("tcx/egress", "SCHED_CLS", "TCX_EGRESS", None, set()),
        ("uprobe/libc.so.6:malloc", "KPROBE", None, "libc.so.6:malloc", set()),
        ("uretprobe.s//bin/bash:readline+0x10", "KPROBE", None, "/bin/bash:readline+0x10", {SLEEPABLE}),
        ("usdt/libc.so.6:libc:setjmp", "KPROBE", None, "libc.so.6:libc:setjmp", set()),
        ("tp/sched/sched_switch", "TRACEPOINT", None, "sched/sched_switch", set()),
        ("kprobe/", "KPROBE", None, None, set()),
        ("lsm.s/bpf", "LSM", "LSM_MAC", "bpf", {SLEEPABLE}),
        ("cgroup_skb/ingress", "CGROUP_SKB", "CGROUP_INET_INGRESS", None, set()),
        ("?fentry/do_nanosleep", "TRACING", "TRACE_FENTRY", "do_nanosleep", {MANUAL}),
        ("struct_ops.s/init", "STRUCT_OPS", None, "init", {SLEEPABLE}),
        ("syscall", "SYSCALL", None, None, {SLEEPABLE}),
    ],
)
def test_meaning(section: str, type: str, attach_type: str | None, target: str | None, flags: set[str]) -> None:
    meaning = section_meaning(section)
    assert meaning.type is ProgramType[f"BPF_PROG_TYPE_{type}"]
    assert meaning.attach_type is (None if attach_type is None else AttachType[f"BPF_{attach_type}"])
    assert meaning.attach_to == target
    assert meaning.flags == flags
    assert meaning.note is None


@pytest.mark.parametrize(
    ("section", "rule"),
    [
        ("xdp_prog1", "xdp"),
        ("xdp/main", "xdp"),
        ("socket1", "socket"),
        ("classifier/ingress", "classifier"),
        ("?action_drop", "action"),
        ("cgroup/skb_egress", "cgroup/skb"),
    ],
)
def test_names_of_old_programs_are_taken_with_a_note(section: str, rule: str) -> None:
    meaning = section_meaning(section)
    assert meaning.rule == rule
    assert meaning.type is section_meaning(rule).type
    assert meaning.note is not None
    assert f"taken as {rule}" in meaning.note


@pytest.mark.parametrize(
    "section", ["prog", "tcp_monitor", "kprobe_it", "kprobes/x", ".text", "xdpx", "", "?", "uprobe.x/y"]
)
def test_unknown_names_have_no_type_and_a_note(section: str) -> None:
    meaning = section_meaning(section)
    assert meaning.type is ProgramType.BPF_PROG_TYPE_UNSPEC
    assert meaning.rule == ""
    assert meaning.note


@given(st.text(alphabet=st.characters(codec="utf-8")), st.sampled_from(SECTION_RULES))
def test_never_fails(text: str, rule: SectionRule) -> None:
    for section in (text, rule.name + text, "?" + rule.name + "/" + text):
        assert section_meaning(section).type in ProgramType


# Names that came after libbpf 1.1, the oldest version that a supported Debian has.
NEWER = ("tc/", "tcx/", "netkit/", "uprobe.multi", "uretprobe.multi", "netfilter", "session", "_unix", "struct_ops.s")
NEWER_NAMES = ("usdt.s", "sk_skb/verdict")


def test_libbpf_agrees() -> None:
    name = ctypes.util.find_library("bpf")
    if name is None:
        pytest.skip("needs libbpf")
    libbpf = ctypes.CDLL(name)
    libbpf.libbpf_set_print.restype = ctypes.c_void_p
    libbpf.libbpf_set_print.argtypes = [ctypes.c_void_p]
    print_function = libbpf.libbpf_set_print(None)  # it would print all names for each that it does not know
    try:
        found = {rule.name: _ask(libbpf, rule.name + ("/target" if rule.target else "")) for rule in SECTION_RULES}
    finally:
        libbpf.libbpf_set_print(print_function)
    unknown = {name for name, answer in found.items() if answer is None}
    assert {name for name in unknown if not any(part in name for part in NEWER)} <= set(NEWER_NAMES)
    expected = {rule.name: (rule.type, rule.attach_type or 0) for rule in SECTION_RULES if rule.name not in unknown}
    assert expected == {name: answer for name, answer in found.items() if answer is not None}
    assert len(expected) > 60


def _ask(libbpf: ctypes.CDLL, section: str) -> tuple[int, int] | None:
    type, attach_type = ctypes.c_int(-1), ctypes.c_int(-1)
    failed = libbpf.libbpf_prog_type_by_name(section.encode(), ctypes.byref(type), ctypes.byref(attach_type))
    return None if failed else (type.value, attach_type.value)
