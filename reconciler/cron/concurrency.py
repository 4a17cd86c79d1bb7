"""What a concurrency policy decides when one more run of a group is to start: a tick's, a push's or a person's alike.

It decides on values only. That a run which is to end does end, and that its successor waits for the proof, is for the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.errors import ManifestError
from reconciler.expr.tags import UnresolvedTag, find_tags, substitute
from reconciler.model.concurrency import KEY_ANNOTATION, KEY_LIMIT, KEY_TAG, ActiveRun, ConcurrencyPolicy

_NAMED_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Whether a run may come, which active runs are to end for it, and which must be gone before it begins; oldest first."""

    is_forbidden: bool = False
    ends: tuple[ActiveRun, ...] = ()
    waits_for: tuple[ActiveRun, ...] = ()


def decide_start(policy: ConcurrencyPolicy, active: Sequence[ActiveRun]) -> Start:
    """What the policy says of one more run beside the active ones, which come oldest first.

    A run that has not begun makes room at once: nobody waits for it. One that ended and holds locks for its failure lets them
    go under Replace and is waited for under Latest, as if it still ran.
    """
    if not active or policy is ConcurrencyPolicy.ALLOW:
        return Start()
    if policy is ConcurrencyPolicy.FORBID:
        return Start(is_forbidden=True)
    begun = tuple(run for run in active if not run.is_pending)
    if policy is ConcurrencyPolicy.REPLACE:
        return Start(ends=tuple(active), waits_for=begun)
    return Start(ends=tuple(run for run in active if run.is_pending), waits_for=begun)


def describe_active(active: Sequence[ActiveRun]) -> str:
    """`run NAME is running; run OTHER is ...`, the first few, the rest counted."""
    named = "; ".join(f"run {run.name} is {state_of(run)}" for run in active[:_NAMED_RUNS])
    rest = len(active) - _NAMED_RUNS
    return f"{named}; and {rest} more" if rest > 0 else named


def state_of(run: ActiveRun) -> str:
    """What an active run does, to follow "it is"."""
    return run.state_text + (" and holds its locks for the failure" if run.holds_for_failure else "")


def resolve_key(text: str, arguments: Mapping[str, str], place: str) -> str:
    """The group that a `concurrency-key` names for a run with these arguments. Raises ManifestError if it names none."""
    faults = key_faults(text)
    if faults:
        raise ManifestError(f"{place}: {faults[0]}")
    try:
        key = substitute(text, {f"{KEY_TAG}{name}": value for name, value in arguments.items()})
    except UnresolvedTag as error:
        raise ManifestError(f'{place}: annotation "{KEY_ANNOTATION}" is "{text}": {error}') from error
    if not key.strip() or len(key) > KEY_LIMIT or not key.isprintable():
        raise ManifestError(
            f'{place}: annotation "{KEY_ANNOTATION}" is "{text}", which makes {key[:KEY_LIMIT]!r} for this run:'
            f" it must be 1 to {KEY_LIMIT} plain characters; give its parameters other values"
        )
    return key


def key_faults(text: str) -> list[str]:
    """What is wrong with the text of a `concurrency-key`, whatever values its parameters have."""
    if not text.strip():
        return [f'annotation "{KEY_ANNOTATION}" is blank; write what its runs have in common, or remove it']
    if len(text) > KEY_LIMIT or not text.isprintable():
        return [f'annotation "{KEY_ANNOTATION}" is {text[:KEY_LIMIT]!r}: it must be at most {KEY_LIMIT} plain characters']
    return [
        f'annotation "{KEY_ANNOTATION}" has the tag {{{{{tag}}}}}; use {{{{{KEY_TAG}NAME}}}}: no other is known so early'
        for tag in find_tags(text)
        if not tag.startswith(KEY_TAG)
    ]
