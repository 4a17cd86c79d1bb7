"""Every setting of lineclear.toml: its name, the field of Settings that it fills, what it means, what its values must be.

Nothing is read here. Each number has a highest value too, so that nothing that a file can say overflows what counts with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler import setting_values as checks

_DAY_S = 86_400
_YEARS_S = 100 * 366 * _DAY_S
_MOST_ROWS = 1_000_000_000
_MOST_MB = 1_000_000_000
_MOST_PIDS = 4_000_000
_MOST_CPUS = 10_000


MEMORY_MB = checks.number(0, _MOST_MB, whole=True)
PIDS = checks.number(0, _MOST_PIDS, whole=True)
CPUS = checks.number(0, _MOST_CPUS, least=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting: its name in the file, the field it fills, what it means, and what its values must be."""

    name: str
    attribute: str
    meaning: str
    check: Callable[[Any], str]  # what is wrong with a value; '' if nothing

    @property
    def parts(self) -> tuple[str, str]:
        """The table ('' at the top) and the key in it."""
        table, _, key = self.name.rpartition(".")
        return table, key


KEYS = (
    Key(
        name="parallelism",
        attribute="parallelism",
        meaning="how many steps may run at once; a step takes its slot last, when it has all its locks",
        check=checks.number(1, 10_000, whole=True),
    ),
    Key(name="branch", attribute="branch", meaning="the branch that is applied", check=checks.branch),
    Key(
        name="path",
        attribute="include",
        meaning="the folder of the repository that holds the manifests; empty: the whole tree",
        check=checks.inside,
    ),
    Key(
        name="poll_interval_s",
        attribute="poll_interval_s",
        meaning="how often the branch is looked at, besides the hints that a push and the file system give",
        check=checks.number(0.1, _DAY_S),
    ),
    Key(
        name="image_policy",
        attribute="image_policy",
        meaning='"host": a step whose image is not mapped runs on this machine, with a warning; "mapped-only": it is refused',
        check=checks.one_of("host", "mapped-only"),
    ),
    Key(
        name="compatibility",
        attribute="compatibility",
        meaning='"argo": a failed run lets its locks go at its end, as upstream does; empty: it keeps them until terminated',
        check=checks.one_of("", "argo"),
    ),
    Key(
        name="receive",
        attribute="receive",
        meaning='"refuse": a push that brings errors is refused; "warn": it is taken, and what was live stays live',
        check=checks.one_of("refuse", "warn"),
    ),
    Key(name="steps.path", attribute="path_env", meaning="PATH of the steps", check=checks.text),
    Key(name="steps.lang", attribute="lang", meaning="LANG of the steps", check=checks.text),
    Key(name="steps.tz", attribute="tz", meaning="TZ of the steps; empty: not set", check=checks.text),
    Key(
        name="steps.grace_s",
        attribute="grace_s",
        meaning="seconds between the signal that asks a step to end and the one that makes it",
        check=checks.number(0, _DAY_S),
    ),
    Key(
        name="steps.groups",
        attribute="groups",
        meaning='"auto": steps are in control groups where the machine allows it; "required": or no daemon starts; "off": never',
        check=checks.one_of("auto", "required", "off"),
    ),
    Key(
        name="steps.memory_mb",
        attribute="step_memory_mb",
        meaning="megabytes that one step may use, all its processes together; 0: as many as there are",
        check=MEMORY_MB,
    ),
    Key(
        name="steps.pids",
        attribute="step_pids",
        meaning="processes and threads that one step may have at once; 0: any number",
        check=PIDS,
    ),
    Key(
        name="steps.cpus",
        attribute="step_cpus",
        meaning="processors that one step may keep busy, 0.5 for half of one; 0: all",
        check=CPUS,
    ),
    Key(
        name="notify.command",
        attribute="notify_command",
        meaning="the program that is told of events, and its arguments; each event is JSON on its standard input; empty: none",
        check=checks.command,
    ),
    Key(name="notify.events", attribute="notify_events", meaning="the kinds of events that it is told of", check=checks.events),
    Key(
        name="notify.timeout_s",
        attribute="notify_timeout_s",
        meaning="seconds after which the program is killed; it is then tried again",
        check=checks.number(0.1, 3600),
    ),
    Key(
        name="notify.give_up_s",
        attribute="notify_give_up_s",
        meaning="seconds after the first try from which on a failure is the last: the event is given up, and the journal says so",
        check=checks.number(0, _YEARS_S),
    ),
    Key(
        name="notify.overdue_s",
        attribute="notify_overdue_s",
        meaning="seconds for which a lock must be held before anybody is told that its holder is overdue",
        check=checks.number(1, _YEARS_S),
    ),
    Key(
        name="notify.disk_low_mb",
        attribute="notify_disk_low_mb",
        meaning="free megabytes of the home's disk below which it is low; 0: it is not watched",
        check=checks.number(0, 1_000_000_000, whole=True),
    ),
    Key(
        name="metrics.listen",
        attribute="metrics_listen",
        meaning='the loopback address and port at which /metrics answers Prometheus, as "127.0.0.1:9090"; empty: none',
        check=checks.listen,
    ),
    Key(
        name="limits.nodes",
        attribute="limit_nodes",
        meaning="how many nodes a run may have, loops' turns and retries included; one that would have more ends as an Error",
        check=checks.number(1, 1_000_000, whole=True),
    ),
    Key(
        name="limits.loop_items",
        attribute="limit_loop_items",
        meaning="how many turns a single loop may have",
        check=checks.number(1, 1_000_000, whole=True),
    ),
    Key(
        name="limits.depth",
        attribute="limit_depth",
        meaning="how deep calls may stand inside calls",
        check=checks.number(1, 100, whole=True),
    ),
    Key(
        name="limits.locks",
        attribute="limit_locks",
        meaning="how many locks one claim, of a workflow or of a template, may want; more is an Error of that run",
        check=checks.number(1, 10_000, whole=True),
    ),
    Key(
        name="limits.frame_mb",
        attribute="limit_frame_mb",
        meaning="megabytes of one request over the control socket; four times as many are taken from all peers together",
        check=checks.number(1, 256, whole=True),
    ),
    Key(
        name="limits.connections",
        attribute="limit_connections",
        meaning="connections to the control socket at once; one more takes the place of the one that is silent for longest",
        check=checks.number(8, 4096, whole=True),
    ),
    Key(
        name="limits.documents",
        attribute="limit_documents",
        meaning="how many documents one push may add or change; more is refused: push them in parts",
        check=checks.number(1, 1_000_000, whole=True),
    ),
    Key(
        name="limits.check_s",
        attribute="limit_check_s",
        meaning="seconds that the daemon's check of one push may take; a longer one is not waited for, and the push is refused",
        check=checks.number(1, 3600),
    ),
    Key(
        name="limits.reserve_mb",
        attribute="limit_reserve_mb",
        meaning="megabytes that the home holds back, to write down on a full disk what is ended; 0: none",
        check=checks.number(0, 10_000, whole=True),
    ),
    Key(
        name="limits.tick_s",
        attribute="limit_tick_s",
        meaning="seconds after which a tick that has not ended is told with what it is doing; nothing is ended for that",
        check=checks.number(0.1, 3600),
    ),
    Key(
        name="limits.log_mb",
        attribute="limit_log_mb",
        meaning="megabytes of its beginning that a step's log keeps; what follows is dropped, and the log says so; 0: all",
        check=checks.number(0, _MOST_MB, whole=True),
    ),
    Key(
        name="journal.keep_days",
        attribute="journal_days",
        meaning="how long the journal is kept, in days; longer while what it tells of is still held or waited for",
        check=checks.number(1, 36_500, whole=True),
    ),
    Key(
        name="journal.keep_rows",
        attribute="journal_rows",
        meaning="how many rows of the journal are kept at most, whatever their age; a million are half a gigabyte",
        check=checks.number(0, _MOST_ROWS, whole=True),
    ),
    Key(
        name="images",
        attribute="images",
        meaning="which runtime runs which image, `host` or `sandbox`: as text, or as a table, with what its steps may use",
        check=checks.table,
    ),
)
