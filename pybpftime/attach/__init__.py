"""Probes in live processes of x86-64 Linux: where they go, and what the kernel says of the process."""
