"""Runtimes under test: profiles that say what each claims, and adapters that ask them.

`profiles.open_runtime` finds one by name, by a TOML file, or by the path of a program.  Importing this package imports
no adapter: `bare` is also what the plugin that other projects' runners call is made of, and that has to start fast.
"""
