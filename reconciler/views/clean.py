"""The one cleaner: text that others wrote, made safe for a terminal. What could move the cursor or turn text round is shown.

Everything that is printed and was not written in this program passes here, or is encoded as ASCII JSON.
"""

from __future__ import annotations

_KEPT = frozenset("\u00a0\u200d")  # no-break space, and the joiner inside emoji


def clean(text: str) -> str:
    """The text on one line: C0, C1, ESC, bidirectional controls and whatever has no shape become visible escapes."""
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def clean_lines(text: str) -> str:
    """As `clean`, but line feeds and tabs stay."""
    if text.isprintable():
        return text
    return "".join(character if character in "\n\t" else _shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable() or character in _KEPT:
        return character
    code = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
