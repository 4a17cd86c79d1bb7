"""A node of type Retry: tries of one template until one goes well, or the strategy says that it is enough.

Argo: docs/retries.md. Limit n allows n + 1 tries; the node takes the outcome and the outputs of the last.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.expr.language import evaluate
from reconciler.expr.tags import substitute
from reconciler.model.spec import Backoff, Retry
from reconciler.model.state import GOOD, NodeState, Phase
from reconciler.workflow.calls import TYPES, Making, seconds
from reconciler.workflow.scope import number_of
from reconciler.workflow.variables import Variables

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

_WHOLE = re.compile(r"-?[0-9]{1,18}")
LONGEST_PAUSE_S = 10 * 365 * 86_400.0


def advance(d: Decision, node: NodeState) -> None:
    """The first try, the next one, a pause before it, or the end."""
    last = d.tree.last_child(node)
    if last is None:
        _try(d, node, 0)
        return
    tries = number_of(last) + 1
    if not last.is_final:
        return
    if last.phase in GOOD or d.tree.is_new(last):  # new: it ended before anything of it began, and so would all others
        d.finish(node, last.phase, last.message, last.exit_code, last.outputs)
        return
    if node.wake_at is not None and d.now < node.wake_at:  # limits count awake time: so does this instant, a try's end does not
        return
    strategy = d.scope.template(node).retry or d.spec.retry
    assert strategy is not None
    try:
        enough = _is_enough(d, node, strategy, last, tries)
        pause_s = None if enough or node.wake_at is not None else _pause_s(d, node, strategy, last, tries)
    except ManifestError as error:
        d.finish(node, Phase.ERROR, str(error), last.exit_code, last.outputs)
        return
    if enough is not None:
        d.finish(node, last.phase, enough, last.exit_code, last.outputs)
    elif pause_s is not None:
        d.tree.update(node, node.phase, f"Backoff for {pause_s:g} seconds", wake_s=max(0.001, pause_s))
    else:
        _try(d, d.tree.update(node, node.phase, wake_s=0) if node.wake_at else node, tries)


def child_ended(d: Decision, node: NodeState, _child: NodeState) -> None:
    """A try has ended."""
    advance(d, node)


def _try(d: Decision, node: NodeState, number: int) -> None:
    template = d.scope.template(node)
    making = Making(name=f"{node.name}({number})", parent=node, display=f"{node.display}({number})")
    child = d.create(making, TYPES[type(template.body)], template.name, node.inputs)
    d.start(child, template)


def _is_enough(d: Decision, node: NodeState, strategy: Retry, last: NodeState, tries: int) -> str | None:
    """Why there is no further try; None if there is to be one."""
    scope = Variables(d.scope.tries(node), outer=d.scope.of(node))
    policy = strategy.policy or ("Always" if strategy.expression else "OnFailure")
    retried = {"Always": (Phase.FAILED, Phase.ERROR), "OnFailure": (Phase.FAILED,), "OnError": (Phase.ERROR,)}
    if last.phase not in retried.get(policy, ()):
        return last.message
    limit = substitute(strategy.limit, scope).strip()
    if limit:
        if not _WHOLE.fullmatch(limit):
            raise ManifestError(f"retryStrategy.limit is {limit!r}, which is no whole number; write one")
        if tries > int(limit):
            return "No more retries left"
    if strategy.expression:
        verdict = evaluate(strategy.expression, scope.tree())
        if not isinstance(verdict, bool):
            raise ManifestError(f"retryStrategy.expression gave {verdict!r}, which is neither true nor false; write a condition")
        if not verdict:
            return "retryStrategy.expression evaluated to false"
    return _out_of_time(d, node, strategy.backoff, scope, last, tries)


def _out_of_time(  # the strategy's part, and the tries by their last and their number
    d: Decision, node: NodeState, backoff: Backoff | None, scope: Variables, last: NodeState, tries: int
) -> str | None:
    """Why maxDuration forbids another try. It counts from the first try's start by the clock, sleep of the machine included."""
    if backoff is None or not backoff.max_duration:
        return None
    most = seconds(backoff.max_duration, scope) or 0.0
    first = d.tree.get(f"{node.name}(0)") or last
    start = datetime.fromisoformat(first.started_at or first.created_at)
    end = start + timedelta(seconds=most)
    if datetime.fromisoformat(d.now) > end:
        return "Max duration limit exceeded"
    due = datetime.fromisoformat(last.finished_at or d.now) + timedelta(seconds=_length_s(backoff, scope, tries))
    return "Backoff would exceed max duration limit" if due > end else None


def _pause_s(d: Decision, node: NodeState, strategy: Retry, last: NodeState, tries: int) -> float | None:
    """Seconds until the next try is due; None if it is due."""
    if strategy.backoff is None:
        return None
    scope = d.scope.of(node)
    ended = datetime.fromisoformat(last.finished_at or d.now)
    due = ended + timedelta(seconds=_length_s(strategy.backoff, scope, tries))
    left = (due - datetime.fromisoformat(d.now)).total_seconds()
    return left if left > 0 else None


def _length_s(backoff: Backoff, scope: Variables, tries: int) -> float:
    base = seconds(backoff.duration, scope) or 0.0
    text = substitute(backoff.factor, scope).strip() or "1"
    try:
        factor = max(float(text), 0.0) or 1.0
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor) or not text.isascii():
        raise ManifestError(f"retryStrategy.backoff.factor is {text!r}, which is no number; write one")
    try:
        length = base * factor ** (tries - 1)
    except OverflowError:
        length = LONGEST_PAUSE_S
    cap = seconds(backoff.cap, scope)
    return min(length, LONGEST_PAUSE_S if cap is None else cap)
