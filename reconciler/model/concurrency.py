"""What a concurrency policy is made of: which runs it counts together, what it says, and where that was written.

Values only: what a policy decides stands in `cron.concurrency`, and what follows from it in `loop.concurrency`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

POLICY_ANNOTATION = "lineclear.dev/concurrency-policy"
KEY_ANNOTATION = "lineclear.dev/concurrency-key"
KEY_LIMIT = 200  # characters
KEY_TAG = "workflow.parameters."  # the only tags that a key may hold: nothing else is known before the run is


class ConcurrencyPolicy(StrEnum):
    """What happens to a run that is to start while others of its group are active (Argo: docs/cron-workflows.md).

    LATEST is Lineclear's own: what runs goes on, and of those that wait behind it only the newest is left.
    """

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"
    LATEST = "Latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """The policy of one run. `group` names the runs that it counts, within their namespace; `place` is where it is written."""

    policy: ConcurrencyPolicy
    group: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRun:
    """A run of a group that is not finished, or is finished and still holds locks for a failure.

    `state_text` completes the sentence "the run is ...": `running`, `waiting for lock db/prod`, `failed`. `is_pending`: nothing
    of it has begun, so it can make room at once.
    """

    name: str
    state_text: str
    holds_for_failure: bool = False
    is_pending: bool = False


def policy_key(namespace: str, group: str) -> str:
    """The key of the lock that stands for a group."""
    return f"{namespace}/Policy/{group}"


def group_of_definition(kind: str, name: str) -> str:
    """The group of one definition's runs. A CronWorkflow's is its bare name, which can hold no slash as all others do."""
    return name if kind == "CronWorkflow" else f"{kind}/{name}"


def group_of_key(key: str) -> str:
    """The group that a `concurrency-key` names, whatever its runs come from."""
    return f"key/{key}"
