"""The conformance suite: cases, runtimes under test, runner, generator, report.

Imported as `pybpftime.conformance`, through a symbolic link (docs/decisions/0001-symbolic-links.md).
"""

if __name__ != "pybpftime.conformance":
    # A second copy of every class under another name would pass no isinstance check.
    raise ImportError("this package is imported as pybpftime.conformance", name=__name__)
