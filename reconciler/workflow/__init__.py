"""The template language: which nodes a run has, what each may do next, and how a run ends.

Pure: a decision reads a run, its frozen spec and a view of its nodes, and returns a plan. It never reaches a clock, a store or a
process; lock names are resolved here, but who gets a lock is decided in `locks`.
"""
