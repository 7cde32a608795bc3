"""Live objects: programs that run, maps that hold something."""

from pybpftime.runtime.load import load
from pybpftime.runtime.objects import Object, Program
from pybpftime.runtime.result import Result
from pybpftime.runtime.views import MapView

__all__ = ["MapView", "Object", "Program", "Result", "load"]
