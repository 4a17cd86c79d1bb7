"""Groups of workers that were killed: removed once nobody needs them as a proof, so that they never pile up.

A worker that leaves removes its own. It must never remove a group that the record of an attempt without an end names: its
emptiness is what proves that attempt's end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence

from reconciler.runtime import groups, wire
from reconciler.runtime.membership import Place


def sweep_leftovers(places: Sequence[Place], directories: Iterable[str]) -> None:
    """Remove the empty groups of a home, but for those that the records in these directories still need.

    Nothing is removed while one of the records cannot be read.
    """
    try:
        keep = {group for directory in directories if (group := _find_needed(directory))}
    except OSError:
        return
    for place in places:
        groups.sweep(place.home, keep)
        with contextlib.suppress(OSError):  # workers live in it
            os.rmdir(place.home)


def _find_needed(directory: str) -> str:
    """The group that proves the end of the attempt there; '' if its end is known or it was never claimed."""
    try:
        with open(f"{directory}/record", "rb") as file:
            page = file.read(wire.RECORD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    claim = wire.unpack_slot(page, wire.CLAIM)
    if claim is None and any(page[: wire.SLOT.size]):
        raise OSError(0, "a claim that cannot be read", directory)
    return claim.get("group", "") if claim is not None and wire.unpack_slot(page, wire.END) is None else ""
