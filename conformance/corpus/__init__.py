"""What writes the table-shaped half of the corpus: formulas, operands, and the text of `.case` files.

Expected values come from RFC 9669 by formulas of this package's own (`bits`): no engine, no algebra and no semantics
of `pybpftime.isa` is imported here, so that a mistake there is not a mistake here.  `tools/gen_cases.py` writes the
files; the other half of conformance/cases is written by hand.
"""
