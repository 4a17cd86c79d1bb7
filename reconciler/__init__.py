"""Lineclear: runs Argo-format workflows from a Git repository and never lets two of them into the same block."""

__version__ = "0.1.0"
