"""Fuzzing: random programs that every runtime must answer as the reference does.

`generator` draws cases, `reference` answers them, `comparison` tells what a runtime did otherwise; `minimiser` and
`attribution` make of a difference the few instructions that matter and the row that is to blame; `campaign` does so
many times, resumably, and `reproducer` writes what was found.
"""
