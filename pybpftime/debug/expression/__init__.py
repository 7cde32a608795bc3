"""C expressions over the values of a stopped program.

    expression = compile_expression("iph->ttl == 1 && counts[42] > 3", scope)
    expression.truth()                    # evaluated now; again at the next stop
    compile_expression("iph->daddr", scope).value().text()
    compile_expression("ctx->mark = 7", scope, allow_assignment=True).value()

Text is parsed to nodes (`parser`), nodes are compiled once to closures (`compiler`), with C's rules for types
(`arithmetic`, `pointers`).  Names come from a `Scope`.  Beyond C: maps (`counts[42]`, `flows[{1, 2}]`, `len(flows)`,
`exists(flows[{1, 2}])`, `per_cpu(hits[42], 3)`), `packet[12:14]`, `comm == "curl"`, `$r1`, `$pc`, `$mine`, `$3` (a
value that was printed), `ntohs` and its kin.
Every error is an InputError with one sentence and, where it is known, the column; `render_error` draws it.
"""

from pybpftime.debug.expression.compiled import Expression, MapValue, compile_condition, compile_expression, named_type
from pybpftime.debug.expression.nodes import Node
from pybpftime.debug.expression.parser import parse, render_error
from pybpftime.debug.expression.scope import MapScope, Scope
from pybpftime.debug.expression.unparse import unparse

__all__ = [
    "Expression",
    "MapScope",
    "MapValue",
    "Node",
    "Scope",
    "compile_condition",
    "compile_expression",
    "named_type",
    "parse",
    "render_error",
    "unparse",
]
