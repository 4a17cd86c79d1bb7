"""Names that operators hand in: checked as those in manifests are, for they become the same things."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.errors import UsageError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9][-a-z0-9]{0,252}")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_RULE = "lower-case letters, digits and '-', at most 63, starting and ending with a letter or digit"


def check_names(args: Mapping[str, Any]) -> None:
    """Raises UsageError for a name, a prefix, a namespace or a label that a manifest could not have either."""
    for key, pattern in (("name", _NAME), ("generate_name", _PREFIX), ("namespace", _NAME)):
        value = args.get(key)
        if value and not pattern.fullmatch(str(value)):
            raise UsageError(f"{key.replace('_', ' ')} {value!r} is not allowed: {_RULE}; choose another")
    for key, value in (args.get("labels") or {}).items():
        if not _LABEL_KEY.fullmatch(str(key)) or not _LABEL_VALUE.fullmatch(str(value)):
            raise UsageError(f"label {key}={value!r} is not allowed: letters, digits, '-', '_' and '.', at most 63; correct it")
