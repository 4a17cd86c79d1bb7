"""The machine is worth its time: each planted bug is found within its budget."""

from dataclasses import replace

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from lock_machine import LockMachine, profile
from policy_machine import PolicyMachine

from reconciler.locks import admission
from reconciler.loop import admitting, deadlocks, settle, tick
from reconciler.model.state import Rule
from reconciler.store import claims, places, queue
from reconciler.store.nodes import StoredNodes
from reconciler.store.refusals import refuse
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
    patch.setattr(admitting.Admission, "_all_exempt", lambda self, claim, lock: False)


def everybody_is_exempt(patch):
    patch.setattr(admitting.Admission, "_all_exempt", lambda self, claim, lock: True)


def an_heir_queues_like_others(patch):
    patch.setattr(claims, "outrank_waiters", lambda writer, taken, heir: None)


def a_failed_run_lets_go(patch):
    run_ended = claims.run_ended
    patch.setattr(claims, "run_ended", lambda writer, run, phase, *, keep: run_ended(writer, run, phase, keep=False))


def a_grant_is_lost_with_its_reader(patch):
    patch.setattr(StoredNodes, "unfinished", lambda self, limit=-1: [])


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


# under policies ----------------------------------------------------------------------------------------------------------


def holders_take_no_place(patch):
    waiting = "SELECT count(*) FROM claim_lock WHERE lock_id = :lock AND state = 'waiting' AND nested = 0 AND :most > 0"
    patch.setattr(places, "_TAKEN", waiting)


def the_latest_is_dropped_for_the_oldest(patch):
    patch.setattr(places, "_OTHERS", places._OTHERS.replace("ORDER BY claim_id", "ORDER BY claim_id DESC"))


def waiters_are_dropped_for_a_newcomer_that_fails(patch):
    who_goes = places._who_goes

    def at_once(writer, lock_id, claim, overflow):
        found = who_goes(writer, lock_id, claim, overflow)
        for other in found:
            refuse(writer, other, Rule.SUPERSEDED, "at once")
        return found

    patch.setattr(places, "_who_goes", at_once)


def patience_has_no_end(patch):
    patch.setattr(tick, "pass_patience", lambda ctx: None)


def nobody_counts_who_is_passed(patch):
    patch.setattr(queue, "note_passed", lambda writer, claim: None)


def units_count_as_one(patch):
    patch.setattr(queue, "lacks_room", lambda writer, claim: False)
    patch.setattr(admitting, "is_admitted", lambda wanted, may: admission.is_admitted([replace(w, units=1) for w in wanted], may))


def a_failed_run_keeps_what_its_policy_lets_go(patch):
    patch.setattr(claims, "_is_kept", lambda kind, on_failure, keep: True)


def holding_something_is_holding_everything(patch):
    kept_of_run = claims.kept_of_run

    def generous(writer, run_id, *, but_deployment):
        found = kept_of_run(writer, run_id, but_deployment=but_deployment)
        return claims.Kept.ALL if found is claims.Kept.SOME else found

    patch.setattr(claims, "kept_of_run", generous)


def one_lock_that_goes_takes_the_others_along(patch):
    patch.setattr(claims, "release_lock", lambda writer, claim, lock_id, reason: claims.end_claim(writer, claim, reason))


def the_eldest_is_ended(patch):
    patch.setattr(deadlocks, "_worth", lambda run: (-run.priority, run.queue_order, run.id))


def nobody_looks_for_circles(patch):
    patch.setattr(settle, "pass_deadlocks", lambda ctx: ctx.writer.marks.tangled.clear())


FOUND_UNDER_POLICIES = [
    holders_take_no_place,
    the_latest_is_dropped_for_the_oldest,
    waiters_are_dropped_for_a_newcomer_that_fails,
    patience_has_no_end,
    nobody_counts_who_is_passed,
    units_count_as_one,
    a_failed_run_keeps_what_its_policy_lets_go,
    holding_something_is_holding_everything,
    one_lock_that_goes_takes_the_others_along,
    the_eldest_is_ended,
    nobody_looks_for_circles,
]


@pytest.mark.parametrize("plant", FOUND_AT_ONCE, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant, monkeypatch):
    plant(monkeypatch)
    find(LockMachine, 200)


@pytest.mark.parametrize("plant", FOUND_UNDER_POLICIES, ids=lambda plant: plant.__name__)
def test_a_planted_bug_under_policies_is_found(plant, monkeypatch):
    plant(monkeypatch)
    find(PolicyMachine, 200)


def find(machine, budget):
    """Fails unless the machine finds something wrong within so many programs."""
    found = settings(profile(), phases=[Phase.generate], max_examples=budget, report_multiple_bugs=False)
    with pytest.raises(Exception) as seen:
        run_state_machine_as_test(machine, settings=found)
    assert isinstance(seen.value, AssertionError | LookupError | TypeError), seen.value
