"""What the process counts, and Prometheus' text format. The standard library's smallest part only.

The control thread counts and never waits for a reader: there is no lock. A reader takes copies, each whole by itself, so
that two numbers may be one event apart. Nothing here knows rows, clocks or sockets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_LOCKS = 200  # that are told apart; all others are one
REFUSALS = {2: "usage", 3: "not-found", 4: "refused", 5: "unreachable", 6: "timed-out", 7: "queue-full"}
_SPAN_LIMITS = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
_TICK_LIMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_TYPES = {"Mutex": "mutex", "DatabaseMutex": "mutex", "ConfigMap": "semaphore", "Database": "semaphore"}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})
Labels = tuple[tuple[str, str], ...]
OTHER_LOCKS: Labels = (("type", "other"), ("storage", ""), ("lock_name", ""), ("namespace", ""))


class Sample(NamedTuple):
    """One number. `suffix` is what a histogram's series add to the family's name."""

    labels: Labels
    value: float
    suffix: str = ""


class Family(NamedTuple):
    """Everything of one name. `kind` is counter, gauge or histogram."""

    name: str
    kind: str
    text: str
    samples: Sequence[Sample]


class Counted(NamedTuple):
    """A lock 'granted' or 'released' after so many seconds of waiting or holding, a claim 'refused', a cron's 'tick's decided."""

    kind: str
    key: str
    seconds: float = 0.0
    times: int = 1


class _Histogram:
    """Counts by limit, the last one beyond all limits, and then the sum."""

    __slots__ = ("_limits", "_row")

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits = limits
        self._row: list[float] = [0] * (len(limits) + 1) + [0.0]

    def add(self, value: float) -> None:
        self._row[bisect_left(self._limits, value)] += 1
        self._row[-1] += value

    def samples(self, labels: Labels) -> list[Sample]:
        row, so_far, found = self._row.copy(), 0.0, []
        for limit, count in zip([*self._limits, None], row[:-1], strict=True):
            so_far += count
            found.append(Sample((*labels, ("le", "+Inf" if limit is None else f"{limit:g}")), so_far, "_bucket"))
        return [*found, Sample(labels, row[-1], "_sum"), Sample(labels, so_far, "_count")]


class Tally:
    """The counters of one process, from its start. `looked_at` is when the control thread last looked, by the monotonic clock."""

    def __init__(self) -> None:
        self.looked_at = 0.0
        self._ticks = {"committed": 0, "rolled-back": 0}
        self._tick_times = _Histogram(_TICK_LIMITS)
        self._refusals: dict[str, int] = {}
        self._crons: dict[str, int] = {}
        self._taken: dict[Labels, int] = {}
        self._promoted: dict[str, int] = {}
        self._waits: dict[str, _Histogram] = {}
        self._holds: dict[str, _Histogram] = {}

    def add_tick(self, events: Iterable[Counted], seconds: float) -> None:
        """A tick was committed, in which this happened."""
        self._ticks["committed"] += 1
        self._tick_times.add(seconds)
        for event in events:
            if event.kind == "tick":
                self._crons[event.key] = self._crons.get(event.key, 0) + event.times
            elif event.kind == "refused":
                self.add_refusal_for(event.key)
            elif event.kind == "granted":
                self._add_grant(event)
            else:
                self._holds.setdefault(lock_type(event.key), _Histogram(_SPAN_LIMITS)).add(event.seconds)

    def _add_grant(self, event: Counted) -> None:
        labels, kind = lock_labels(event.key), lock_type(event.key)
        if labels not in self._taken and len(self._taken) >= MOST_LOCKS:
            labels = OTHER_LOCKS
        self._taken[labels] = self._taken.get(labels, 0) + 1
        self._promoted[kind] = self._promoted.get(kind, 0) + (event.seconds > 0)
        self._waits.setdefault(kind, _Histogram(_SPAN_LIMITS)).add(event.seconds)

    def add_failed_tick(self) -> None:
        """A tick was rolled back."""
        self._ticks["rolled-back"] += 1

    def add_refusal(self, exit_code: int) -> None:
        """A request was refused with this exit code."""
        self.add_refusal_for(REFUSALS.get(exit_code, "error"))

    def add_refusal_for(self, reason: str) -> None:
        """Something was refused. For each reason one thread at a time."""
        self._refusals[reason] = self._refusals.get(reason, 0) + 1

    def families(self) -> list[Family]:
        """Everything as it is now; from any thread."""
        taken = [Sample(labels, count) for labels, count in sorted(self._taken.copy().items())]
        return [
            Family("lineclear_ticks_total", "counter", "Transactions of the control thread.", _by("outcome", self._ticks)),
            Family("lineclear_tick_seconds", "histogram", "How long they took.", self._tick_times.samples(())),
            Family("lineclear_cron_ticks_total", "counter", "Instants of CronWorkflows decided.", _by("decision", self._crons)),
            Family("lineclear_refusals_total", "counter", "Requests and pushes refused.", _by("reason", self._refusals)),
            Family("lineclear_locks_taken_total", "counter", "Locks granted.", taken),
            Family("lineclear_promotions_total", "counter", "Grants to claims that had waited.", _by("type", self._promoted)),
            Family("lineclear_lock_wait_seconds", "histogram", "From asking to the grant.", _spans(self._waits)),
            Family("lineclear_lock_hold_seconds", "histogram", "From the grant to the release.", _spans(self._holds)),
        ]


def lock_type(key: str) -> str:
    """Mutex or semaphore; another kind's own name in lower case."""
    kind = key.split("/", 2)[1]
    return _TYPES.get(kind, kind.lower())


def lock_labels(key: str) -> Labels:
    """Argo's labels (4.1) for the lock with that key: NAMESPACE/KIND/NAME."""
    namespace, kind, name = key.split("/", 2)
    told = lock_type(key)
    storage = "" if told not in ("mutex", "semaphore") else "database" if kind.startswith("Database") else "configmap"
    return (("type", told), ("storage", storage), ("lock_name", name), ("namespace", namespace))


def _by(label: str, counts: dict[str, int]) -> list[Sample]:
    return [Sample(((label, name),), count) for name, count in sorted(counts.copy().items())]


def _spans(histograms: dict[str, _Histogram]) -> list[Sample]:
    return [sample for kind, one in sorted(histograms.copy().items()) for sample in one.samples((("type", kind),))]


def text_of(families: Iterable[Family]) -> str:
    """The families in Prometheus' text format 0.0.4. A counter without a sample yet has only its heading."""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.text.translate(_HELP_ESCAPES)}", f"# TYPE {family.name} {family.kind}"]
        for labels, value, suffix in family.samples:
            told = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels)
            lines.append(f"{family.name}{suffix}{f'{{{told}}}' if told else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
