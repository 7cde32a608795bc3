"""Cases as text: our `.case` files, bpf_conformance's `.data` files, and JSON for other tools."""
