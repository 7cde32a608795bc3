"""What test files of several folders share; imported as `support` (pytest's `pythonpath` names the tests folder)."""
