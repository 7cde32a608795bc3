"""The instruction set: encoding, the table of instructions, and their semantics over an algebra.

Chapters follow RFC 9669: `arithmetic` (4.1, 4.2), `jumps` (4.3), `loads_stores` (5.1 to 5.3), `immediates`
(5.4, 5.5).  `table` gathers their rows; `validate` says whether a program is well formed.
"""

from pybpftime.isa.algebra import Algebra, IntAlgebra
from pybpftime.isa.encoding import Instruction, Program, decode_program, encode_program, sign_extend
from pybpftime.isa.row import ConstantRule, Form, Group, Immediate, Row, jump_offset, registers
from pybpftime.isa.table import BY_NAME, TABLE, lookup
from pybpftime.isa.validate import validate

__all__ = [
    "BY_NAME",
    "TABLE",
    "Algebra",
    "ConstantRule",
    "Form",
    "Group",
    "Immediate",
    "Instruction",
    "IntAlgebra",
    "Program",
    "Row",
    "decode_program",
    "encode_program",
    "jump_offset",
    "lookup",
    "registers",
    "sign_extend",
    "validate",
]
