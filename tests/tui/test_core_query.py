"""The filter language and the orders of lists."""

from datetime import UTC, datetime, timedelta

import pytest

from tui.core import query
from tui.core.model import Holder, LockRow, LockState, RunKey, RunRow, RunState, Waits

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def run(number, name, state=RunState.RUNNING, **more):
    row = {"id": number, "namespace": "default", "name": name, "phase": "Running", "state": state, "created_at": NOW}
    return RunRow(**row | more)


RUNS = [
    run(1, "deploy-api", RunState.WAITING, by="bob", waits_for=Waits("default/Mutex/prod-db", 3, NOW - timedelta(hours=2))),
    run(2, "Deploy-Web", RunState.FAILED, by="alice", message="exit code 1: [red]oops", namespace="shop"),
    run(3, "backup", RunState.SUCCEEDED, workflow="cron/nightly", cron="nightly", created_at=NOW - timedelta(hours=5)),
    run(4, "migrate", RunState.HOLDING, by="carol smith", holds=2, priority=5),
]


def names(text, rows=RUNS):
    return [row.name for row in query.select(rows, text, query.RUNS, NOW)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["deploy-api", "Deploy-Web", "backup", "migrate"]),
        ("deploy", ["deploy-api", "Deploy-Web"]),
        ("DEPLOY !web", ["deploy-api"]),
        ("state:failed", ["Deploy-Web"]),
        ("state:failed,holding", ["Deploy-Web", "migrate"]),
        ("state:blocked", []),
        ("state:waits", ["deploy-api"]),
        ("!state:succeeded !state:failed", ["deploy-api", "migrate"]),
        ("ns:shop", ["Deploy-Web"]),
        ("lock:prod", ["deploy-api"]),
        ("by:bob", ["deploy-api"]),
        ('by:"carol smith"', ["migrate"]),
        ("[red]", ["Deploy-Web"]),
        ("age>1h", ["backup"]),
        ("waits>1h", ["deploy-api"]),
        ("position<4", ["deploy-api"]),
        ("priority>0", ["migrate"]),
        ("cron:night", ["backup"]),
        ("nobody:knows", []),
        ("default/Mutex", ["deploy-api"]),
        ("age>soon", []),
        ("!", []),
        ('"', ["deploy-api", "Deploy-Web", "backup", "migrate"]),
        (" ( [ \\ * ", []),
    ],
)
def test_a_filter_lets_through(text, found):
    assert names(text) == found


def test_harness_words_mean_our_states():
    locks = [
        LockRow(key=f"default/Mutex/{name}", kind="Mutex", namespace="default", name=name, state=state, capacity=1, held=0)
        for name, state in (("a", LockState.STUCK), ("b", LockState.CONTENDED), ("c", LockState.HELD), ("d", LockState.FREE))
    ]

    def found(text):
        return [row.name for row in query.select(locks, text, query.LOCKS, NOW)]

    assert [found(f"state:{word}") for word in ("stuck", "blocked", "active", "idle")] == [["a"], ["b"], ["c"], ["d"]]


def test_locks_are_found_by_holder_and_by_who_is_next():
    since = NOW - timedelta(hours=4)
    holder = Holder(claim=1, epoch=7, id="x#7", namespace="default", run="migrate-7f2qd", node="", phase="Failed", since=since,
                    verdict="holding for a failure", evidence="its run ended Failed")
    row = LockRow(key="default/Mutex/x", kind="Mutex", namespace="default", name="x", state=LockState.STUCK, capacity=1, held=1,
                  holders=(holder,), since=since, queue_length=14, next_run=RunKey("default", "api"),
                  verdict="holding for a failure", evidence="its run ended Failed")
    for text in ("holder:7f2", "next:api", "age>1h", "waits>3", "held>0", "kind:mutex", "verdict:failure", "ended"):
        assert query.select([row], text, query.LOCKS, NOW) == [row], text
        assert query.select([row], "!" + text, query.LOCKS, NOW) == [], text


def test_orders_are_stable_and_an_unknown_one_changes_nothing():
    assert [row.id for row in query.order(RUNS, "name", query.RUNS)] == [2, 3, 1, 4]
    assert [row.id for row in query.order(RUNS, "age", query.RUNS, is_descending=True)][-1] != 3
    assert [row.id for row in query.order(RUNS, "nonsense", query.RUNS)] == [1, 2, 3, 4]
    assert query.order(RUNS, "waits", query.RUNS)[0].id == 1
    assert query.order(RUNS, "state", query.RUNS)[0].state is RunState.HOLDING


@pytest.mark.parametrize("columns", [query.RUNS, query.LOCKS, query.CRONS, query.COMMITS, query.JOURNAL, query.QUEUE])
def test_every_order_orders_nothing_without_complaint(columns):
    for name in columns.orders:
        assert query.order([], name, columns) == []


def test_a_word_is_completed_to_fields_and_values():
    assert "state:" in query.completions("st", query.RUNS, RUNS)
    assert query.completions("deploy !by:c", query.RUNS, RUNS) == ['deploy !by:"carol smith"']
    assert query.completions("nobody:", query.RUNS, RUNS) == []


def test_ten_thousand_rows_are_filtered():
    rows = [
        run(number, f"deploy-api-{number}", RunState.WAITING, message="Waiting for default/Mutex/prod-db lock",
            waits_for=Waits("default/Mutex/prod-db", number, NOW), commit="c" * 40)
        for number in range(10_000)
    ]
    assert len(query.select(rows, "prod", query.RUNS, NOW)) == 10_000
    assert [row.key.name for row in query.select(rows, "api-9999", query.RUNS, NOW)] == ["deploy-api-9999"]
