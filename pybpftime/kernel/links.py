"""Attaching a program of the kernel: links, for the attach types that need no more than a target."""

from __future__ import annotations

from typing import Self

from pybpftime.errors import InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.descriptor import KernelObject
from pybpftime.kernel.programs import KernelProgram
from pybpftime.kernel.syscall import address_of, bpf, unsigned
from pybpftime.uapi import AttachType, Command


class KernelLink(KernelObject):
    """An attachment; it ends when the link is closed."""

    kind = "link"

    @classmethod
    def create(cls, program: KernelProgram, target: int, attach_type: AttachType, flags: int = 0) -> Self:
        """BPF_LINK_CREATE: `target` is a descriptor (cgroup, network namespace...) or an interface index."""
        attribute = attributes.LinkCreate(
            prog_fd=program.fileno(),
            target_fd=unsigned(target, "target"),
            attach_type=unsigned(attach_type, "attach_type"),
            flags=unsigned(flags, "flags"),
        )
        return cls(bpf(Command.BPF_LINK_CREATE, attribute, f"attach the program {program.name}".rstrip()))

    @classmethod
    def raw_tracepoint(cls, program: KernelProgram, name: str = "") -> Self:
        """BPF_RAW_TRACEPOINT_OPEN: attach to the tracepoint `name`; "" for types that name their target at load."""
        if "\0" in name or not name.isascii():
            raise InputError(f"{name!r} is no name of a tracepoint")
        text = name.encode() + b"\0" if name else b""
        attribute = attributes.RawTracepointOpen(name=address_of(text), prog_fd=program.fileno())
        return cls(bpf(Command.BPF_RAW_TRACEPOINT_OPEN, attribute, f"attach to the tracepoint {name}".rstrip()))

    def detach(self) -> None:
        """BPF_LINK_DETACH: end the attachment and keep the link.  HostError (EOPNOTSUPP) for most kinds."""
        bpf(Command.BPF_LINK_DETACH, attributes.LinkDetach(link_fd=self.fileno()), "detach a link")
