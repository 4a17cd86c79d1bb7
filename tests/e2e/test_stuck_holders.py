"""A holder that does not let go: who may clear it, on what evidence, with the daemon up, down and hung."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from reconciler.errors import Refused, Unreachable, UsageError

KEY = "default/Mutex/a"
OFFLINE = (
    "import json, sys; from reconciler.daemon import act_offline\n"
    "try: print(json.dumps(act_offline(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), 'ann')))\n"
    "except Exception as e: print(e); sys.exit(getattr(e, 'exit_code', 99))"
)


@pytest.fixture
def gate(home):
    return home.folder / "gate"


def gated(gate):
    return f"until [ -e {gate} ]; do sleep 0.02; done"


def act_offline(home, verb, **args):
    """(exit code, what it said) of a command that acts without a daemon."""
    argv = [sys.executable, "-c", OFFLINE, str(home.root), verb, json.dumps(args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.strip() or done.stderr[-2000:]


def epoch_of(home):
    ((_, epoch),) = home.holders(KEY)
    return epoch


def fail_while_another_waits(home, book):
    home.daemon.start()
    home.submit(book.workflow("broken", "true", mutexes=["a"], code=1))
    assert home.wait_phase("broken") == "Failed"
    (waiter,) = home.submit(book.workflow("waiter", "true", mutexes=["a"]))
    return waiter


def hold_while_another_waits(home, book, body):
    home.daemon.start()
    home.submit(book.workflow("holder", body, mutexes=["a"]))
    home.wait_line("a", "S holder")
    home.submit(book.workflow("waiter", "true", mutexes=["a"]))


@pytest.mark.edge("E67")
def test_a_failed_run_keeps_its_lock_over_restarts_until_a_person_clears_it(home, book):
    waiter = fail_while_another_waits(home, book)
    assert "holds it for its failure" in waiter["message"]
    for _ in range(2):
        home.daemon.kill()
        home.daemon.start()
        assert [name for name, _ in home.holders(KEY)] == ["broken"]
        assert home.phase("waiter") == "Pending"

    answer = home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="checked the tables")

    assert answer["next"] == "waiter"
    assert home.wait_phase("waiter") == "Succeeded"
    assert home.phase("broken") == "Failed"
    ((actor, run, subject, detail),) = home.journal("holder.terminated")
    assert (run, subject) == ("broken", KEY)
    assert actor
    assert "checked the tables" in detail


@pytest.mark.edge("E67")
def test_a_failed_holder_is_cleared_without_a_daemon_and_nothing_is_started(home, book):
    fail_while_another_waits(home, book)
    epoch = epoch_of(home)
    home.daemon.kill()

    code, said = act_offline(home, "terminate_stuck_holder", lock=KEY, epoch=epoch, reason="night shift")

    assert code == 0, said
    assert "Done: broken has ended (Failed); it holds nothing" in said
    assert home.phase("broken") == "Failed"
    assert "broken" not in [name for name, _ in home.holders(KEY)]
    assert not any("waiter" in line for line in home.lines("a"))
    home.daemon.start()
    assert home.wait_phase("waiter") == "Succeeded"
    assert home.journal("holder.terminated")[0][0] == "ann"


def test_an_epoch_that_is_over_is_refused_and_the_new_holder_is_named(home, book, gate):
    fail_while_another_waits(home, book)
    old = epoch_of(home)
    home.submit(book.workflow("next", gated(gate), mutexes=["a"]))
    home.ask("terminate_stuck_holder", lock=KEY, epoch=old, reason="first")
    home.wait_line("a", "S next")

    with pytest.raises(Refused, match=f"{KEY}#{epoch_of(home)}") as refused:
        home.ask("terminate_stuck_holder", lock=KEY, epoch=old, reason="again")

    assert "next" in str(refused.value)
    assert home.phase("next") == "Running"


def test_without_a_reason_nothing_is_cleared(home, book):
    fail_while_another_waits(home, book)

    with pytest.raises(UsageError):
        home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason=" ")

    assert [name for name, _ in home.holders(KEY)] == ["broken"]


def test_a_living_holder_is_ended_only_if_the_person_says_that_it_is_not_stuck(home, book, gate):
    hold_while_another_waits(home, book, gated(gate))

    with pytest.raises(Refused, match="--not-stuck"):
        home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="impatient")
    assert home.phase("holder") == "Running"
    home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="impatient", not_stuck=True)

    assert home.wait_phase("waiter") == "Succeeded"
    assert home.phase("holder") == "Failed"
    assert book.read("a").runs() == ["holder", "waiter"]


def test_a_step_that_ignores_term_is_killed_after_its_grace_and_the_lock_goes_only_then(home, book):
    home.set_up("[steps]\ngrace_s = 1.0\n")
    deaf = "trap '' TERM; (trap '' TERM; exec sleep 60) & while :; do sleep 0.05; done"
    hold_while_another_waits(home, book, deaf)
    before = home.steps()
    assert len(before) >= 2

    home.ask("terminate", run="holder")
    home.wait_line("a", "S waiter")

    assert [pid for pid in home.steps() if pid in before] == []
    assert home.wait_phase("waiter") == "Succeeded"
    assert book.read("a").most_at_once() == 1


def test_a_stop_survives_a_kill_of_the_daemon_at_once(home, book, until):
    home.set_up("[steps]\ngrace_s = 0.5\n")
    hold_while_another_waits(home, book, "trap '' TERM; sleep 60")
    home.ask("terminate", run="holder")
    home.daemon.kill()
    home.daemon.start()

    assert home.wait_phase("waiter") == "Succeeded"
    assert home.phase("holder") == "Failed"
    assert home.steps() == []


def test_a_running_holder_is_ended_without_a_daemon(home, book):
    hold_while_another_waits(home, book, "sleep 60")
    home.daemon.kill()

    code, said = act_offline(home, "terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="night", not_stuck=True)

    assert code == 0, said
    assert home.phase("holder") == "Failed"
    assert home.steps() == []
    assert not any("waiter" in line for line in home.lines("a"))
    home.daemon.start()
    assert home.wait_phase("waiter") == "Succeeded"


def test_what_is_let_go_offline_waits_for_its_own_run_alone_and_the_answer_says_what_was_done(home, book, gate):
    deaf = f"trap '' TERM; {gated(gate)}"
    hold_while_another_waits(home, book, deaf)
    home.submit(book.workflow("other", deaf, mutexes=["b"]))
    home.wait_line("b", "S other")
    home.ask("terminate", run="other")  # it ends in a minute, if ever
    home.daemon.kill()

    wish = {"not_stuck": True, "release_unproven": True, "reason": "the network is gone"}
    code, said = act_offline(home, "terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), **wish)

    assert code == 0, said
    assert home.holders(KEY) == []
    phase = home.phase("holder")
    told = "Done: holder has ended" if phase in ("Failed", "Error") else "Only written down so far: holder is to end and has not"
    assert told in said
    assert "it holds nothing" in said
    gate.touch()


def test_a_hung_daemon_is_told_apart_and_may_be_ended_without_its_steps(home, book, gate):
    hold_while_another_waits(home, book, gated(gate))
    steps = home.steps()
    home.daemon.signal(signal.SIGSTOP)

    with pytest.raises(Unreachable):
        home.ask("terminate_stuck_holder", 0.5, lock=KEY, epoch=epoch_of(home), reason="hung", not_stuck=True)
    code, said = act_offline(home, "terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="hung", not_stuck=True)
    assert code == Refused.exit_code
    assert f"pid {home.daemon.pid}" in said

    home.daemon.kill()
    assert set(steps) & set(home.steps())
    code, said = act_offline(home, "terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="hung", not_stuck=True)
    assert code == 0, said
    assert home.steps() == []
    assert home.phase("holder") == "Failed"


@pytest.mark.edge("E46")
def test_what_is_let_go_without_proof_is_held_back_until_a_person_opens_it(home, book, until, gate):
    hold_while_another_waits(home, book, f"trap '' TERM; {gated(gate)}")

    wish = {"not_stuck": True, "release_unproven": True, "reason": "the network is gone"}
    answer = home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), **wish)

    assert answer["next"] == "waiter"
    assert home.holders(KEY) == []
    assert home.phase("waiter") == "Pending"
    ((actor, run, _, detail),) = home.journal("claim.released-unproven")
    assert (bool(actor), run) == (True, "holder")
    assert set(json.loads(detail)["pids"]) & set(home.carriers())
    home.daemon.kill()
    home.daemon.start()
    assert home.phase("waiter") == "Pending"
    home.ask("unhold", lock=KEY, reason="checked by hand")
    assert home.wait_phase("waiter") == "Succeeded"
    gate.touch()
    assert home.wait_phase("holder") in ("Failed", "Error")


def test_a_proven_death_needs_no_release_without_proof(home, book):
    home.daemon.start()
    home.submit(book.workflow("holder", "sleep 60", mutexes=["a"]))
    home.wait_line("a", "S holder")
    epoch = epoch_of(home)
    home.daemon.kill()
    for pid in home.workers():
        os.kill(pid, signal.SIGKILL)
    home.daemon.start()

    assert home.wait_phase("holder") == "Error"
    assert home.steps() == []
    assert epoch_of(home) == epoch
    assert "lost" in home.message("holder") or home.rows("SELECT state FROM attempt") == [("lost",)]


def test_taking_over_passes_the_lock_to_the_fix_ahead_of_the_queue(home, book, gate):
    fail_while_another_waits(home, book)

    (fix,) = home.submit(book.workflow("fix", gated(gate), mutexes=["a"]), take_over="broken", reason="the fix")

    assert fix["name"] == "fix"
    home.wait_line("a", "S fix")
    assert home.phase("waiter") == "Pending"
    gate.touch()
    assert home.wait_phase("waiter") == "Succeeded"
    assert book.read("a").runs() == ["broken", "fix", "waiter"]


SLOW_TO_END = """\
bye() { sleep 0.7; printf 'E %s %s %s\\n' "$LINECLEAR_RUN" "$LINECLEAR_NODE" "$LINECLEAR_ATTEMPT" >> LOG; exit 1; }
trap bye TERM
while :; do sleep 0.05; done
"""


def test_the_next_one_starts_only_when_an_ended_holder_is_really_gone(home, book):
    hold_while_another_waits(home, book, SLOW_TO_END.replace("LOG", str(home.logs / "a")))

    home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch_of(home), reason="enough", not_stuck=True)

    assert home.wait_phase("waiter") == "Succeeded"
    words = [line.split(" ")[:2] for line in home.lines("a")]
    assert words == [["S", "holder"], ["E", "holder"], ["S", "waiter"], ["E", "waiter"]]
