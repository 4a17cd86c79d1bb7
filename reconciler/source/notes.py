"""The Git notes of applied commits, as whoever checks the journal reads them: git's own output, no more.

Standard library only and no Repository: `fsck` and `journal verify` must not pay for the parsing of manifests.
"""

from __future__ import annotations

import os

from reconciler.source.plumbing import ObjectReader, hosted_environment, run_git

NOTES_REF = "refs/notes/lineclear"
_NOTE_LIMIT_BYTES = 1 << 20
_AT_ONCE = 500


def read_notes(repository: str) -> list[tuple[str, str]]:
    """(commit, text) of every note, by commit; [] where there is no repository or no note. Raises GitFailed."""
    if not os.path.isdir(repository):
        return []
    env = hosted_environment(repository)
    lines = run_git(repository, env, "notes", f"--ref={NOTES_REF}", "list").decode("ascii", "replace").splitlines()
    pairs = sorted((commit, blob) for blob, _, commit in (line.partition(" ") for line in lines))
    found = []
    with ObjectReader(repository, env) as reader:
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            reader.ask(blob for _, blob in part)
            for commit, _ in part:
                answer = reader.answer(limit_bytes=_NOTE_LIMIT_BYTES)
                if answer is not None:
                    found.append((commit, answer[3].decode("utf-8", "replace")))
    return found
