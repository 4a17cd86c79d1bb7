"""Rows as people and programs want to see them: Argo-shaped objects, table rows, explanations. Shared by cli and tui.

Standard library only. Reads through `store.read`; never writes. Only `daemon` asks the daemon and looks at a clock.
"""
