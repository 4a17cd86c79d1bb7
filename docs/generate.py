# ruff: noqa: INP001  # a script beside the pages that it writes
"""Writes the pages that are made from the code: `python docs/generate.py`, or `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_cases import edge_cases_page

from reconciler.lint.rules import rules_page
from reconciler.manifest.fields import fields_page

REFERENCE = Path(__file__).parent / "reference"
PAGES = {"fields.md": fields_page, "lock-edge-cases.md": edge_cases_page, "lint-rules.md": rules_page}


def main() -> int:
    """Writes each page; 0."""
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
