"""What each request over the socket may say: its fields, and what their values must be. Data and a loop; nothing is decided here.

A request is checked whole before anything of it is looked at, so that a verb may trust what it is given: a field that is not
known, a list for a text, a number that nothing could count with, and characters that no store or program takes are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.errors import UsageError

LONGEST_NAME = 1_000
LONGEST_TEXT = 100_000
LONGEST_VALUE = 1_000_000
MOST_OF_A_KIND = 100_000
_MOST_PRIORITY = 2**31 - 1
_MOST_ID = 2**53
_A_CENTURY_S = 100 * 366 * 86_400
_SEEN = 60

Check = Callable[[Any], str]  # what is wrong with a value; '' if nothing is


def _text(longest: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            return "it must be a text"
        if len(value) > longest:
            return f"it has {len(value)} characters, and may have {longest}"
        if "\0" in value:
            return "it has the character NUL, which nothing here takes"
        return "" if value.isascii() or _is_whole(value) else "it has half of a character (a lone surrogate)"

    return check


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "it must be true or false"


def _whole(lowest: int, highest: int) -> Check:
    def check(value: Any) -> str:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return "" if is_number and lowest <= value <= highest else f"it must be a whole number from {lowest} to {highest}"

    return check


def _seconds(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return "" if is_number and 0 <= value <= _A_CENTURY_S else f"it must be a number of seconds, at most {_A_CENTURY_S}"


def _texts(longest: int) -> Check:
    one = _text(longest)

    def check(value: Any) -> str:
        if not isinstance(value, list) or len(value) > MOST_OF_A_KIND:
            return f"it must be a list of at most {MOST_OF_A_KIND} texts"
        return next((f"in it, {_seen(part)}: {wrong}" for part in value if (wrong := one(part))), "")

    return check


def _pairs(longest: int) -> Check:
    name, one = _text(LONGEST_NAME), _text(longest)

    def check(value: Any) -> str:
        if not isinstance(value, dict) or len(value) > MOST_OF_A_KIND:
            return f"it must be an object of at most {MOST_OF_A_KIND} names, each with a text"
        bad = ((key, name(key) or one(inner)) for key, inner in value.items())
        return next((f"in it, {_seen(key)}: {wrong}" for key, wrong in bad if wrong), "")

    return check


def _files(value: Any) -> str:
    path, text = _text(LONGEST_TEXT), _text(1 << 30)
    if not isinstance(value, list) or len(value) > MOST_OF_A_KIND:
        return f"it must be a list of at most {MOST_OF_A_KIND} files"
    for file in value:
        if not isinstance(file, dict) or file.keys() != {"path", "text"}:
            return "each file in it must be an object of path and text"
        wrong = path(file["path"]) or text(file["text"])
        if wrong:
            return f"in it, {_seen(file['path'])}: {wrong}"
    return ""


def _updates(value: Any) -> str:
    one = _text(LONGEST_TEXT)
    if not isinstance(value, list) or len(value) > MOST_OF_A_KIND:
        return f"it must be a list of at most {MOST_OF_A_KIND} updates"
    for update in value:
        if not isinstance(update, list) or len(update) != len(("old", "new", "ref")):
            return "each update in it must be a list of old, new and ref"
        wrong = next((wrong for part in update if (wrong := one(part))), "")
        if wrong:
            return f"in it, {_seen(update)}: {wrong}"
    return ""


_NAME, _REASON = _text(LONGEST_NAME), _text(LONGEST_TEXT)
_RUN: dict[str, Check] = {"namespace": _NAME, "run": _NAME}
_NODES: dict[str, Check] = {**_RUN, "selector": _REASON, "message": _REASON}
_CRON: dict[str, Check] = {"namespace": _NAME, "name": _NAME}
_LIMIT: dict[str, Check] = {"namespace": _NAME, "key": _NAME}
_NEW: dict[str, Check] = {
    "namespace": _NAME,
    "parameters": _pairs(LONGEST_VALUE),
    "labels": _pairs(LONGEST_NAME),
    "priority": _whole(-_MOST_PRIORITY, _MOST_PRIORITY),
    "entrypoint": _NAME,
    "name": _NAME,
    "generate_name": _NAME,
    "take_over": _NAME,
    "reason": _REASON,
    "override_freeze": _flag,
}
FIELDS: Mapping[str, Mapping[str, Check]] = {
    "ping": {},
    "poke": {},
    "notify_test": {},
    "down": {"mode": _NAME},
    "check": {"updates": _updates, "quarantine": _pairs(LONGEST_TEXT), "options": _texts(LONGEST_TEXT)},
    "pushed": {"updates": _updates},
    "sync_now": {"namespace": _NAME, "wait": _flag},
    "sync_approve": {"namespace": _NAME, "sha": _NAME},
    "submit": {**_NEW, "files": _files, "from": _NAME},
    "resubmit": {**_NEW, "run": _NAME},
    "stop": _NODES,
    "terminate": _NODES,
    "suspend": _RUN,
    "resume": _NODES,
    "node_set": {**_NODES, "phase": _NAME, "outputs": _pairs(LONGEST_VALUE)},
    "retry": _RUN,
    "delete": {**_RUN, "force": _flag},
    "cron_reset": _CRON,
    "cron_suspend": _CRON,
    "cron_resume": _CRON,
    "cron_trigger": _NEW,
    "limit_set": {**_LIMIT, "limit": _whole(0, 10**9)},
    "limit_delete": _LIMIT,
    "terminate_stuck_holder": {
        "namespace": _NAME,
        "lock": _NAME,
        "holder_claim": _whole(0, _MOST_ID),
        "epoch": _whole(0, _MOST_ID),
        "reason": _REASON,
        "node_only": _flag,
        "not_stuck": _flag,
        "release_unproven": _flag,
    },
    "hold": {
        "namespace": _NAME,
        "locks": _texts(LONGEST_NAME),
        "reason": _REASON,
        "now": _flag,
        "priority": _whole(-_MOST_PRIORITY, _MOST_PRIORITY),
        "for_s": _seconds,
        "until": _NAME,
    },
    "unhold": {"namespace": _NAME, "lock": _NAME, "hold": _NAME, "reason": _REASON},
}


def check_request(verb: object, args: object) -> tuple[str, dict[str, Any]]:
    """The verb and its fields, those without a value left out. Raises UsageError for whatever is not as it must be."""
    fields = FIELDS.get(verb) if isinstance(verb, str) else None
    if fields is None:
        raise UsageError(f"unknown request {_seen(verb)}; known: {', '.join(sorted(FIELDS))}")
    asked = str(verb).replace("_", " ")
    if not isinstance(args, Mapping):
        raise UsageError(f"could not {asked}: what is asked must be an object of fields, not {_seen(args)}")
    for name, value in args.items():
        check = fields.get(name)
        if check is None:
            known = ", ".join(fields) or "it has none"
            raise UsageError(f"could not {asked}: the daemon knows no field {_seen(name)} of it (fields: {known}); is it older?")
        wrong = "" if value is None else check(value)
        if wrong:
            raise UsageError(f"could not {asked}: the field {name} is {_seen(value)}: {wrong}")
    return str(verb), {name: value for name, value in args.items() if value is not None}


def _seen(value: object) -> str:
    """The beginning of a value as a message shows it: plain characters on one line."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**_SEEN:
        return f"a number of more than {_SEEN} digits"
    text = ascii(value)
    return text if len(text) <= _SEEN else f"{text[:_SEEN]}..."
