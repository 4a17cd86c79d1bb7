"""The command line's entry point. It answers `--version` itself, because that must cost nothing, and hands over the rest."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs one command; the result is the process's exit code."""
    words = sys.argv[1:]
    if words in (["--version"], ["version"]):
        from reconciler import __version__

        print(f"lineclear {__version__}")
        return 0
    from reconciler.cli.dispatch import run_command

    return run_command(words)


if __name__ == "__main__":
    sys.exit(main())
