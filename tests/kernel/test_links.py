"""Links: attaching a harmless program for a moment."""

from __future__ import annotations

import errno
import os

import pytest

from pybpftime.errors import HostError, InputError
from pybpftime.kernel import KernelLink, KernelProgram
from pybpftime.uapi import AttachType, ProgramType

pytestmark = pytest.mark.usefixtures("bpf")

RETURN_ONE = bytes.fromhex("b700000001000000 9500000000000000")


def test_link_to_a_network_namespace() -> None:
    attach_type = AttachType.BPF_SK_LOOKUP
    with KernelProgram.load(
        ProgramType.BPF_PROG_TYPE_SK_LOOKUP, RETURN_ONE, expected_attach_type=attach_type
    ) as program:
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with KernelLink.create(program, namespace, attach_type) as link:
                link.detach()
            with pytest.raises(HostError) as caught:
                KernelLink.create(program, namespace, AttachType.BPF_XDP)
        finally:
            os.close(namespace)
        assert caught.value.errno == errno.EINVAL


def test_raw_tracepoint() -> None:
    with KernelProgram.load(ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT, RETURN_ONE) as program:
        with KernelLink.raw_tracepoint(program, "sched_process_exit") as link:
            assert not link.closed
        with pytest.raises(HostError, match="attach to the tracepoint no_such") as caught:
            KernelLink.raw_tracepoint(program, "no_such_tracepoint")
        assert caught.value.errno == errno.ENOENT
        with pytest.raises(InputError, match="no name of a tracepoint"):
            KernelLink.raw_tracepoint(program, "nul\0")
