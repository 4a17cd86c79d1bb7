"""What is known of a commit's check: one small file of the home for each commit that the pre-receive check let in.

Whoever pushes may have a way past the hooks of the repository, and whoever may write there can move a branch by hand. So a check
leaves a receipt, and a commit without one came unchecked: that is told, and stops nothing. It never decides.
"""

from __future__ import annotations

import contextlib
import os

from reconciler.model.source import PushVerdict, Revision

FOLDER = "checked"
MOST_KEPT = 200
_LIMIT_BYTES = 4000
_SEED = ("Lineclear <lineclear@localhost>", "Seed the repository")
_NO_RECEIPT = "no check of it is known: it came past the repository's hooks; `lineclear lint` checks a clone of it"


def write_receipt(home: str, verdict: PushVerdict, by: str) -> None:
    """Keep what the check said of the pushed head, if it was let in. A home that takes no file gets none: that is told then."""
    if not verdict.head or not verdict.accepted:
        return
    text = f"{verdict.receipt}; pushed by {by}" if verdict.receipt else ""
    folder = os.path.join(home, FOLDER)
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        made = os.path.join(folder, f".{verdict.head}.{os.getpid()}")
        with open(made, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.replace(made, os.path.join(folder, verdict.head))
        _prune(folder)


def why_unchecked(home: str, revision: Revision) -> str:
    """How a revision came in without a whole check, '' if it was checked: also the commit that `init` made."""
    if revision.previous is None and (revision.author, revision.subject) == _SEED:
        return ""
    try:
        with open(os.path.join(home, FOLDER, revision.sha), encoding="utf-8", errors="replace") as file:
            return file.read(_LIMIT_BYTES).strip()
    except OSError:
        return _NO_RECEIPT


def _prune(folder: str) -> None:
    names = os.listdir(folder)
    if len(names) > MOST_KEPT:
        paths = sorted((os.path.join(folder, name) for name in names), key=lambda path: os.stat(path).st_mtime)
        for path in paths[: len(paths) - MOST_KEPT // 2]:
            os.unlink(path)
