"""How a trace is printed: source lines where they change, the instruction, what it changed."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from pybpftime.runtime.trace import TraceStep

TEXT_WIDTH = 44


def print_step(console: Console, step: TraceStep) -> None:
    """Print one step."""
    indent = "  " * step.depth
    if step.source is not None:
        console.print(Text(f"{indent}; {step.source}", style="green"))
    line = Text(f"{indent}{step.pc:>5}: ", style="dim")
    line.append(f"{step.text:<{TEXT_WIDTH}}", style="default")
    changes = []
    if step.call is not None:
        name, arguments, result = step.call
        changes.append(f"{name}({', '.join(f'{value:#x}' for value in arguments)}) -> {result:#x}")
    for register, value in step.changes.items():
        if value is not None:
            place = f" ({step.pointers[register]})" if register in step.pointers else ""
            changes.append(f"r{register} = {value:#x}{place}")
    line.append("  ".join(changes), style="cyan")
    console.print(line)
