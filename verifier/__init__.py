"""The verifier: proves that a program cannot fault, shows how it does, or says what is missing.

Imported as `pybpftime.verifier`, through a symbolic link (docs/decisions/0001-symbolic-links.md).
"""

if __name__ != "pybpftime.verifier":
    # A second copy of every class under another name would pass no isinstance check.
    raise ImportError("this package is imported as pybpftime.verifier", name=__name__)
