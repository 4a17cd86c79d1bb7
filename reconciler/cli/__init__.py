"""The command line: a module for each command, with `configure(parser)` and `run(args) -> int`; only the chosen one is imported.

Thin: it reads rows through `store.read`, shows them through `views`, and asks the daemon through `control.client` to change
anything. It never writes the store.
"""
