"""What every helper is: name, number, arguments, result and who may call it.  No machine is imported here.

`DECLARATIONS` holds the helpers of Linux by id, `KNOWN` their names alone.  The verifier, the running machine, the
documentation and the command line read the same declarations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.helpers.declarations.declaration import (
    FIRST_USER_ID,
    GPL_COMPATIBLE,
    HelperDeclaration,
    Parameter,
    Variant,
    declarations_of,
    helper,
)
from pybpftime.helpers.declarations.kinds import (
    ArgumentKind,
    CallbackArgument,
    CallbackKind,
    ResultKind,
    ResultRole,
    Role,
)
from pybpftime.lazy import lazy_names

if TYPE_CHECKING:
    from pybpftime.helpers.declarations.families import DECLARATIONS, FAMILIES
    from pybpftime.helpers.declarations.known import KNOWN

# Imported when they are asked for: a runtime with a few helpers of its own loads none of Linux's.
_HOMES = {"DECLARATIONS": "families", "FAMILIES": "families", "KNOWN": "known"}

__all__ = [
    "DECLARATIONS",
    "FAMILIES",
    "FIRST_USER_ID",
    "GPL_COMPATIBLE",
    "KNOWN",
    "ArgumentKind",
    "CallbackArgument",
    "CallbackKind",
    "HelperDeclaration",
    "Parameter",
    "ResultKind",
    "ResultRole",
    "Role",
    "Variant",
    "declarations_of",
    "helper",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
