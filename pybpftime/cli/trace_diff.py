"""`pybpftime trace-diff`: the first difference of two traces."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from pybpftime.cli.inputs import require_name
from pybpftime.cli.output import console, print_json
from pybpftime.runtime.trace_diff import first_difference


@click.command("trace-diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--exact", is_flag=True, help="Compare addresses, too: for two traces of one runtime.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def trace_diff(first: str, second: str, exact: bool, as_json: bool) -> int:
    """Compare two traces, of pybpftime or of other runtimes, and show the first difference.

    Numbers that may be addresses in both are not compared unless --exact is given.  The exit code is 1 when the traces
    differ.

    \b
    Examples:
      pybpftime run xdp_parser.bpf.o --pcap mixed.pcap --trace-out a.jsonl
      pybpftime trace-diff a.jsonl b.jsonl
    """
    require_name("A", first)
    require_name("B", second)
    difference = first_difference(first, second, exact=exact)
    if as_json:
        print_json({"equal": difference is None, "difference": None if difference is None else asdict(difference)})
    elif difference is None:
        console().print(Text("the traces are equal", style="green"))
    else:
        console().print(Text(str(difference), style="red"))
    return 0 if difference is None else 1
