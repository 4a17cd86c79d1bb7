"""What is left to do of a run whose decision was too large for one tick. A value of one row; nothing here is done."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = "\U0010ffff"  # no name of a node sorts behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What of a run is to be gone on with.

    `later` are nodes to be taken up, in that order, before any of them may end. Once there is none, the unfinished nodes whose
    names sort before `below` are looked at, the last of them first, children before parents; None: they have been. `ends`: the
    run, or a part of it, is being ended; until that is done no process of it is started and no lock of an ended node is let go.
    `is_written`: it came from a change and not from a sweep, so it has to outlive the daemon.
    """

    later: tuple[str, ...] = ()
    below: str | None = None
    ends: bool = False
    is_written: bool = True

    @property
    def is_done(self) -> bool:
        """True once nothing is left."""
        return not self.later and self.below is None
