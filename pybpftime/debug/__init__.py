"""The debugger: one engine without input and output, and the faces that show it."""
