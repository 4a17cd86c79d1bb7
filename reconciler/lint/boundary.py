"""The boundary around each check: one that fails is a finding on the document it failed on, and all others go on.

Owns who is to blame for a check across documents, and that half a check tells nothing. What fails from outside (Git, the
store, a file) is no mistake of ours and goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from reconciler.errors import Transient
from reconciler.lint import rules
from reconciler.lint.scope import Tree
from reconciler.manifest.mistakes import mistake_finding
from reconciler.model.spec import Document

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Item = TypeVar("_Item")
_CANNOT = "cannot be checked"


def attempt(tree: Tree, document: Document, check: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
    """What the check says of the document; None if it failed, and then that is a finding instead of all that it had found."""
    before = len(tree.findings)
    try:
        return check(*args, **kwargs)
    except (Transient, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of a rule: whatever it is, the other rules are applied
        del tree.findings[before:]
        what = f"{_words(check)} {_CANNOT}"
        tree.findings.append(mistake_finding(error, document.place, rules.UNCHECKED, what))
        return None


def attempt_all(
    tree: Tree, what: str, check: Callable[[Sequence[_Item]], object], items: Sequence[_Item], of: Callable[[_Item], Document]
) -> None:
    """A check over parts of many documents. Those with which it fails even alone are to blame, and it is made without them.

    If it fails all the same, that is told once, on the first document.
    """
    error = _fault(tree, check, items)
    if error is None:
        return
    parts: dict[int, list[_Item]] = {}
    for item in items:
        parts.setdefault(id(of(item)), []).append(item)
    blamed = []
    for own in parts.values():
        before = len(tree.findings)
        fault = _fault(tree, check, own)
        del tree.findings[before:]  # what it finds in one document alone is found again with the others
        if fault is not None:
            blamed.append(mistake_finding(fault, of(own[0]).place, rules.UNCHECKED, f"{what} {_CANNOT}"))
            parts[id(of(own[0]))] = []
    rest = [item for own in parts.values() for item in own]
    if blamed:
        error = _fault(tree, check, rest)
    tree.findings += blamed
    if error is not None:
        where = of((rest or items)[0]).place
        tree.findings.append(mistake_finding(error, where, rules.UNCHECKED_SET, f"{what} {_CANNOT}"))


def _fault(tree: Tree, check: Callable[[Sequence[_Item]], object], items: Sequence[_Item]) -> Exception | None:
    """Why the check fails with these, having found nothing; None if it does not."""
    before = len(tree.findings)
    try:
        check(items)
    except (Transient, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - as in `attempt`
        del tree.findings[before:]
        return error
    return None


def _words(check: Callable[..., object]) -> str:
    """What a check looks at: `check_tags` looks at tags."""
    return check.__name__.strip("_").removeprefix("check_").replace("_", " ")
