"""The chain that makes the record tamper-evident: what a row's hash is made of, and the head that names all rows up to it.

Each row carries the SHA-256 of the hash before it and of itself, so a head (number and hash of a row) vouches for every row up
to it. It is computed here only, for the row that is written and for the row that is checked; nothing here reads or writes.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

START = bytes(32)  # stands for the hash before the first row
_NOTED = '{"journal": '


class Head(NamedTuple):
    """The number and the hash of a row; written as NUMBER:HASH."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


def link(previous: bytes, seq: int, texts: Sequence[bytes]) -> bytes:
    """The hash of a row: SHA-256 of the hash before it, a line of decimals, and the row's seven texts as UTF-8, all in a row.

    The line has the row's number and the length of each text in bytes, with blanks between and a newline at its end; so no
    text can pass for a part of its neighbour. The texts are at, kind, actor, namespace, run, subject, detail_json.
    """
    at, kind, actor, namespace, run, subject, detail = texts
    lengths = (seq, len(at), len(kind), len(actor), len(namespace), len(run), len(subject), len(detail))
    return sha256(b"".join((previous, b"%d %d %d %d %d %d %d %d\n" % lengths, *texts))).digest()


def parse_head(text: str) -> Head | None:
    """The head that is written as NUMBER:HASH, or None if the text is none."""
    number, _, digits = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 19 and len(digits) == 64):
        return None
    try:
        return Head(int(number), bytes.fromhex(digits))
    except ValueError:
        return None


def noted(outcome_json: str, head: Head) -> str:
    """The text of a Git note: the outcome of a revision, with the head in front, where no cut can reach it."""
    return json.dumps({"journal": str(head), **json.loads(outcome_json)})


def find_noted(text: str) -> Head | None:
    """The head in a note's text, or None: notes may be cut, and anybody may write one."""
    if not text.startswith(_NOTED):
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text, len(_NOTED))
    except ValueError:
        return None
    return parse_head(found) if isinstance(found, str) else None
