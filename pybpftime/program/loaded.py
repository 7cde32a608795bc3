"""A program together with the maps it refers to: what an engine compiles and a prog array holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpftime.program.spec import ProgramSpec

if TYPE_CHECKING:  # a program without maps runs without loading them
    from pybpftime.maps import Map


@dataclass(frozen=True, slots=True, eq=False)
class LoadedProgram:
    """`maps` holds every map that `spec` refers to, by name, attached to one address space."""

    spec: ProgramSpec
    maps: Mapping[str, Map]
