"""Which paths of a tree are looked at: the configured folder, the manifest suffixes and the tree's own `.lineclearignore`.

It knows text and paths only; it never reads Git.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

IGNORE_FILE = ".lineclearignore"
SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRule:
    """One line of the ignore file: `pattern` matches a path or a folder above it; `negated` takes the path back in."""

    pattern: re.Pattern[str]
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule:
    """What is in scope: below `include` ('' is the whole tree), less what `rules` ignore; the last match counts."""

    include: str = ""
    rules: tuple[IgnoreRule, ...] = ()

    def is_in_scope(self, path: str) -> bool:
        """True if the path is below the configured folder and not ignored."""
        if self.include and not path.startswith(self.include + "/"):
            return False
        ignored = False
        for rule in self.rules:
            if rule.pattern.match(path):
                ignored = not rule.negated
        return not ignored

    def is_manifest(self, path: str) -> bool:
        """True if a file at this path is read as a manifest, or to say why it is not: one that ends in capitals."""
        return path.lower().endswith(SUFFIXES) and self.is_in_scope(path)


def path_rule(include: str, ignore_text: bytes) -> PathRule:
    """The rule for one tree. The globs are those of gitignore: `#`, `!`, `*`, `?`, `[...]`, `**`, a slash that anchors."""
    lines = ignore_text.decode("utf-8", "replace").splitlines()
    return PathRule(include=include.strip("/"), rules=tuple(rule for line in lines if (rule := _rule(line)) is not None))


def _rule(line: str) -> IgnoreRule | None:
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[1:] if negated else text
    text = text.removeprefix("\\")
    folder_only = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    text = text.removeprefix("/")
    if not text:
        return None
    start, end = "" if anchored else "(?:.*/)?", "/.*" if folder_only else "(?:/.*)?"
    try:
        body = re.compile(start + _glob(text) + end + r"\Z", re.DOTALL)
    except re.error:
        return None
    return IgnoreRule(pattern=body, negated=negated)


_GLOB = re.compile(
    r"(?P<deep>\*\*/)|(?P<rest>/\*\*\Z)|(?P<star>\*+)|(?P<one>\?)|(?P<set>\[[!^]?\]?[^\]/]*\])|(?P<text>.)", re.DOTALL
)


def _glob(text: str) -> str:
    parts = []
    for match in _GLOB.finditer(text):
        piece = match.group()
        match match.lastgroup:
            case "deep":
                parts.append("(?:.*/)?")
            case "rest":
                parts.append("/.*")
            case "star":
                parts.append("[^/]*")
            case "one":
                parts.append("[^/]")
            case "set":
                inner = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
                parts.append("[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]")
            case _:
                parts.append(re.escape(piece))
    return "".join(parts)
