"""The machine that instructions and helpers act on: registers, frames, memory, environment, observers."""

from pybpftime.machine.environment import Environment, HostEnvironment
from pybpftime.machine.machine import Code, Effects, Limits, Machine, TailCall
from pybpftime.machine.memory import Memory, Region, RegionKind
from pybpftime.machine.observer import Observer
from pybpftime.machine.rounds import Rounds
from pybpftime.machine.stack import Frame
from pybpftime.machine.strictness import LENIENT, LEVELS, LINUX, STRICT, Strictness

__all__ = [
    "LENIENT",
    "LEVELS",
    "LINUX",
    "STRICT",
    "Code",
    "Effects",
    "Environment",
    "Frame",
    "HostEnvironment",
    "Limits",
    "Machine",
    "Memory",
    "Observer",
    "Region",
    "RegionKind",
    "Rounds",
    "Strictness",
    "TailCall",
]
