"""The machine is worth its time: each planted bug is found within its budget."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from lock_machine import LockMachine, profile

from reconciler.loop import settle
from reconciler.store import claims, queue
from reconciler.store.runs import StoredNodes
from reconciler.workflow.scope import Scope

LIFO = "SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = 0 ORDER BY claim_id DESC LIMIT 1"


def last_comes_first(patch):
    def first_waiter(writer, lock_id):
        row = writer.db.execute(LIFO, (lock_id,)).fetchone()
        return None if row is None else row[0]

    patch.setattr(queue, "first_waiter", first_waiter)


def one_unit_too_many(patch):
    room = queue.room
    patch.setattr(queue, "room", lambda writer, lock_id: room(writer, lock_id) + 1)


def one_unit_too_few(patch):
    room = queue.room
    patch.setattr(queue, "room", lambda writer, lock_id: room(writer, lock_id) - 1)


def ancestors_are_forgotten(patch):
    from reconciler.workflow.values import resolve_locks

    def locks_of(self, template, values, parent):
        return resolve_locks(template.locks, values, self._run.namespace)

    patch.setattr(Scope, "locks_of", locks_of)


def siblings_take_no_turns(patch):
    patch.setattr(claims, "_holding_ancestor", lambda writer, run, node, lock_id: 2**40 + node)


def a_name_is_computed_again_at_release(patch):
    end_claim = claims.end_claim

    def forgetful(writer, claim, reason):
        before = writer.db.execute("SELECT state FROM claim WHERE id = ?", (claim,)).fetchone()[0]
        end_claim(writer, claim, reason)
        if before == "held":
            sql = (
                "UPDATE claim_lock SET state = 'held' WHERE claim_id = :c AND lock_id ="
                " (SELECT max(lock_id) FROM claim_lock WHERE claim_id = :c HAVING count(*) > 1)"
            )
            writer.db.execute(sql, {"c": claim})

    patch.setattr(claims, "end_claim", forgetful)


def a_release_marks_nothing(patch):
    end_claim = claims.end_claim

    def silent(writer, claim, reason):
        kept = dict(writer.marks.locks)
        end_claim(writer, claim, reason)
        writer.marks.locks = kept

    patch.setattr(claims, "end_claim", silent)


def nobody_is_exempt(patch):
    patch.setattr(settle, "_all_exempt", lambda ctx, claim, lock: False)


def everybody_is_exempt(patch):
    patch.setattr(settle, "_all_exempt", lambda ctx, claim, lock: True)


def an_heir_queues_like_others(patch):
    patch.setattr(claims, "outrank_waiters", lambda writer, taken, heir: None)


def a_failed_run_lets_go(patch):
    run_ended = claims.run_ended
    patch.setattr(claims, "run_ended", lambda writer, run, phase, *, keep: run_ended(writer, run, phase, keep=False))


def a_grant_is_lost_with_its_reader(patch):
    patch.setattr(StoredNodes, "unfinished", lambda self: [])


FOUND_AT_ONCE = [
    last_comes_first,
    one_unit_too_many,
    one_unit_too_few,
    ancestors_are_forgotten,
    siblings_take_no_turns,
    a_name_is_computed_again_at_release,
    a_release_marks_nothing,
    everybody_is_exempt,
    an_heir_queues_like_others,
    a_failed_run_lets_go,
    a_grant_is_lost_with_its_reader,
    nobody_is_exempt,
]


@pytest.mark.parametrize("plant", FOUND_AT_ONCE, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant, monkeypatch):
    plant(monkeypatch)
    found = settings(profile(), phases=[Phase.generate], max_examples=200, report_multiple_bugs=False)
    with pytest.raises(Exception) as seen:
        run_state_machine_as_test(LockMachine, settings=found)
    assert isinstance(seen.value, AssertionError | LookupError | TypeError), seen.value
