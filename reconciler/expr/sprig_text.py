"""Sprig's functions over texts. Owns these; sprig: docs/strings.md, docs/encoding.md, docs/crypto.md, docs/paths.md."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
import textwrap
import zlib
from collections.abc import Mapping
from typing import Any

from reconciler.expr import functions
from reconciler.expr.errors import Fault
from reconciler.expr.patterns import Match, compile_pattern, find_all, search
from reconciler.expr.registry import Table
from reconciler.expr.values import MAX_TEXT, Meter, go_float, to_go

_WHITE = " \t\n\v\f\r\x85\xa0"


def strval(meter: Meter, value: Any) -> str:
    """A text as it is, anything else as Go prints it."""
    return value if isinstance(value, str) else to_go(value, meter)


def _quote(meter: Meter, *values: Any) -> str:
    return " ".join(json.dumps(strval(meter, value), ensure_ascii=False) for value in values if value is not None)


def _squote(meter: Meter, *values: Any) -> str:
    return " ".join(f"'{strval(meter, value)}'" for value in values if value is not None)


def _cat(meter: Meter, *values: Any) -> str:
    return " ".join(strval(meter, value) for value in values if value is not None)


def _indent(spaces: int, text: str) -> str:
    pad = functions.repeat(" ", spaces)
    return pad + functions.replace(text, "\n", "\n" + pad)


def _title(text: str) -> str:
    return re.sub(r"(^|[^\w'])(\w)", lambda match: match[1] + match[2].upper(), text)


def _untitle(text: str) -> str:
    return re.sub(r"(^|[^\w'])(\w)", lambda match: match[1] + match[2].lower(), text)


def _words(text: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text))
    return [word for word in re.split(r"[\W_]+", spaced) if word]


def _camel(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", text) if word)


def _trunc(length: int, text: str) -> str:
    return text[length:] if length < 0 and len(text) > -length else text[:length] if length >= 0 else text


def _substr(start: int, end: int, text: str) -> str:
    first = max(start, 0)
    return text[first:] if end < 0 or end > len(text) else text[first:end]


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def _wrap(width: int, text: str) -> str:
    lines = [textwrap.fill(line, max(1, width), break_long_words=False, break_on_hyphens=False) for line in text.split("\n")]
    return "\n".join(lines)


def _split(separator: str, text: str) -> dict[str, str]:
    return {f"_{number}": part for number, part in enumerate(functions.split(text, separator))}


def _splitn(separator: str, limit: int, text: str) -> dict[str, str]:
    return {f"_{number}": part for number, part in enumerate(functions.split(text, separator, limit))}


def _strings(meter: Meter, value: Any) -> list[str]:
    if isinstance(value, list):
        return [strval(meter, item) for item in value if item is not None]
    return [] if value is None else [strval(meter, value)]


def _join(meter: Meter, separator: str, value: Any) -> str:
    parts = _strings(meter, value)
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_TEXT:
        raise Fault(f"a text would be longer than {MAX_TEXT} characters", "join fewer")
    return separator.join(parts)


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _decoded(text: str, *, is_32: bool = False) -> str:
    decode = base64.b32decode if is_32 else base64.b64decode
    try:
        return decode(text.replace("\n", "").replace("\r", "")).decode()
    except ValueError as error:
        return str(error)


def _hash(name: str) -> Any:
    return lambda text: hashlib.new(name, text.encode()).hexdigest()


def _regex_match(meter: Meter, pattern: str, text: str) -> bool:
    return search(pattern, text, meter) is not None


def _regex_find(meter: Meter, pattern: str, text: str) -> str:
    match = search(pattern, text, meter)
    return (match.group(0) or "") if match else ""


def _regex_find_all(meter: Meter, pattern: str, text: str, limit: int) -> list[str]:
    found: list[str] = []
    for match in find_all(pattern, text, meter):
        if 0 <= limit <= len(found):
            break
        found.append(match.group(0) or "")
    return found


def _regex_split(meter: Meter, pattern: str, text: str, limit: int) -> list[str]:
    if limit == 0:
        return []
    parts: list[str] = []
    end = 0
    for match in find_all(pattern, text, meter):
        start, behind = match.spans[0] or (0, 0)
        if 0 < limit <= len(parts) + 1:
            break
        if behind == 0 or (start == behind == len(text)):
            continue
        parts.append(text[end:start])
        end = behind
    return [*parts, text[end:]]


def _replaced(meter: Meter, pattern: str, text: str, new: str, *, is_literal: bool) -> str:
    parts, end, size = [], 0, 0
    names = compile_pattern(pattern).names
    for match in find_all(pattern, text, meter):
        start, behind = match.spans[0] or (0, 0)
        parts += [text[end:start], new if is_literal else _expanded(new, match, names)]
        size += len(parts[-1]) + len(parts[-2])
        if size > MAX_TEXT:
            raise Fault(f"a text would be longer than {MAX_TEXT} characters", "replace by something shorter")
        end = behind
    return "".join([*parts, text[end:]])


def _expanded(template: str, match: Match, names: Mapping[str, int]) -> str:
    def group(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1] or found[2]
        number = int(name) if name.isdecimal() and len(name) < 5 else names.get(name, -1)
        return (match.group(number) or "") if number >= 0 else ""

    return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", group, template)


def _regex_replace(meter: Meter, pattern: str, text: str, new: str) -> str:
    return _replaced(meter, pattern, text, new, is_literal=False)


def _regex_replace_literal(meter: Meter, pattern: str, text: str, new: str) -> str:
    return _replaced(meter, pattern, text, new, is_literal=True)


def _to_string(meter: Meter, value: Any) -> str:
    return go_float(value, is_json=False) if isinstance(value, float) else strval(meter, value)


def register(table: Table) -> None:
    """Adds these to the table."""
    _register_letters(table)
    _register_lists(table)
    _register_codes(table)


def _register_letters(table: Table) -> None:
    add = table.add
    add("upper", "string", str.upper, "in capitals")
    add("lower", "string", str.lower, "in small letters")
    add("title", "string", _title, "the first letter of each word in capitals")
    add("untitle", "string", _untitle, "the first letter of each word small")
    add("swapcase", "string", str.swapcase, "capitals small, small letters in capitals")
    add("camelcase", "string", _camel, "`http_server` as `HttpServer`")
    add("snakecase", "string", lambda text: "_".join(_words(text)).lower(), "`HttpServer` as `http_server`")
    add("kebabcase", "string", lambda text: "-".join(_words(text)).lower(), "`HttpServer` as `http-server`")
    add("initials", "string", lambda text: "".join(word[0] for word in text.split()), "the first letter of each word")
    add("trim", "string", lambda text: text.strip(_WHITE), "without spaces at the ends")
    add("trimAll", "string string", lambda chars, text: text.strip(chars), "without those characters at the ends")
    add("trimPrefix", "string string", lambda end, text: text.removeprefix(end), "without that beginning")
    add("trimSuffix", "string string", lambda end, text: text.removesuffix(end), "without that end")
    add("nospace", "string", lambda text: "".join(text.split()), "without any spaces")
    add("repeat", "int string", lambda times, text: functions.repeat(text, times), "the text so often")
    add("replace", "string string string", lambda old, new, text: functions.replace(text, old, new), "every `old` replaced")
    add("substr", "int int string", _substr, "the characters from start up to end")
    add("trunc", "int string", _trunc, "the first characters, the last if negative")
    add("abbrev", "int string", _abbrev, "cut to a width, with dots")
    add("wrap", "int string", _wrap, "lines of that width")
    add("contains", "string string", lambda part, text: part in text, "whether the second holds the first")
    add("hasPrefix", "string string", lambda start, text: text.startswith(start), "whether the second begins with the first")
    add("hasSuffix", "string string", lambda end, text: text.endswith(end), "whether the second ends with the first")
    add("quote", "any...", _quote, "in double quotes", needs_meter=True)
    add("squote", "any...", _squote, "in single quotes", needs_meter=True)
    add("cat", "any...", _cat, "with spaces between", needs_meter=True)
    add("indent", "int string", _indent, "each line moved to the right")
    add("nindent", "int string", lambda spaces, text: "\n" + _indent(spaces, text), "as `indent`, on a new line")
    add("plural", "string string int", _plural, "the first for 1, else the second")
    add("toString", "any", _to_string, "the value as a text", needs_meter=True)
    add("toStrings", "any", _strings, "the items as texts", needs_meter=True)


def _register_lists(table: Table) -> None:
    add = table.add
    add("split", "string string", _split, "the parts as a map: `_0`, `_1`, ...")
    add("splitn", "string int string", _splitn, "as `split`, so many at most")
    add("splitList", "string string", lambda separator, text: functions.split(text, separator), "the parts as an array")
    add("join", "string any", _join, "items in one text", needs_meter=True)
    add("sortAlpha", "any", lambda meter, value: sorted(_strings(meter, value)), "texts in order", needs_meter=True)


def _register_codes(table: Table) -> None:
    add = table.add
    add("b64enc", "string", lambda text: base64.b64encode(text.encode()).decode(), "in base 64")
    add("b64dec", "string", _decoded, "what base 64 says")
    add("b32enc", "string", lambda text: base64.b32encode(text.encode()).decode(), "in base 32")
    add("b32dec", "string", lambda text: _decoded(text, is_32=True), "what base 32 says")
    add("sha1sum", "string", _hash("sha1"), "the SHA-1 in hexadecimal")
    add("sha256sum", "string", _hash("sha256"), "the SHA-256 in hexadecimal")
    add("sha512sum", "string", _hash("sha512"), "the SHA-512 in hexadecimal")
    add("adler32sum", "string", lambda text: str(zlib.adler32(text.encode())), "the Adler-32 checksum")
    add("regexMatch", "string string", _regex_match, "whether the pattern is in the text", needs_meter=True)
    add("regexFind", "string string", _regex_find, "the first match", needs_meter=True)
    add("regexFindAll", "string string int", _regex_find_all, "the matches, so many at most, all for -1", needs_meter=True)
    add("regexSplit", "string string int", _regex_split, "the parts between matches", needs_meter=True)
    add("regexReplaceAll", "string string string", _regex_replace, "matches replaced, `$1` is a group", needs_meter=True)
    add("regexReplaceAllLiteral", "string string string", _regex_replace_literal, "as it stands", needs_meter=True)
    add("regexQuoteMeta", "string", lambda text: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text), "the text as a pattern")
    add("base", "string", lambda path: posixpath.basename(path.rstrip("/")) or ("/" if path else "."), "the path's last part")
    add("dir", "string", lambda path: posixpath.normpath(posixpath.dirname(path) or "."), "the path without its last part")
    add("clean", "string", lambda path: posixpath.normpath(path or "."), "the shortest equal path")
    add("ext", "string", lambda path: re.search(r"(\.[^./]*)?$", path)[0], "the ending with its dot")  # type: ignore[index]
    add("isAbs", "string", lambda path: path.startswith("/"), "whether the path begins at the root")
