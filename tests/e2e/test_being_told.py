"""Being told: a real daemon, real commands on the other side, and every way in which telling can go wrong."""

from __future__ import annotations

import contextlib
import json
import signal

import pytest

HEAR = "#!/bin/sh\ncat >> {heard}\n"


@pytest.fixture
def teller(home):
    """Writes a shell script as the home's command; `{heard}` is the file that it is to append to."""

    class Teller:
        heard = home.folder / "heard"

        def set_up(self, script=HEAR, more=""):
            path = home.folder / "tell.sh"
            path.write_text(script.replace("{heard}", str(self.heard)))
            path.chmod(0o700)
            home.set_up(f'[notify]\ncommand = ["{path}", "ops"]\n{more}')
            return path

        def events(self):
            return [json.loads(line) for line in self.heard.read_text().splitlines()] if self.heard.exists() else []

        def states(self):
            return home.rows("SELECT kind, state, tries, problem FROM notice ORDER BY id")

    return Teller()


def fail(home, book, name="broken", **more):
    """A run that fails by itself and keeps mutex `a`."""
    home.submit(book.workflow(name, mutexes=["a"], code=3, **more))
    home.wait_phase(name, "Failed")


def test_a_failed_holder_is_told_once_with_what_a_person_must_know(home, book, teller, until):
    teller.set_up()
    home.daemon.start()
    fail(home, book)
    until(lambda: teller.states() == [("held-for-a-failure", "sent", 1, "")], teller.states)
    (event,) = teller.events()
    epoch = home.holders("default/Mutex/a")[0][1]
    assert event["text"] == "default/broken ended Failed and keeps default/Mutex/a; 0 waiting"
    assert (event["kind"], event["try"], event["home"]) == ("held-for-a-failure", 1, str(home.root))
    assert event["detail"]["locks"] == [{"key": "default/Mutex/a", "epoch": epoch, "waiting": 0}]
    assert (event["detail"]["run"], event["detail"]["phase"]) == ("broken", "Failed")
    home.ask("terminate", run="broken")
    home.submit(book.workflow("fine", mutexes=["a"]))
    home.wait_phase("fine", "Succeeded")
    assert len(teller.events()) == 1


def test_the_command_gets_a_steps_environment_its_arguments_and_nothing_of_the_daemons(home, book, teller, until):
    teller.set_up('#!/bin/sh\ncat > /dev/null\n{ echo "$@"; umask; pwd; env; } > {heard}.new\nmv {heard}.new {heard}\n')
    home.daemon.start(SECRET_OF_THE_DAEMON="xyzzy")
    fail(home, book)
    until(teller.heard.exists, "the call")
    words, mask, folder, *env = teller.heard.read_text().splitlines()
    assert (words, mask, folder) == ("ops", "0077", str(home.root))
    names = {line.partition("=")[0] for line in env} - {"PWD", "SHLVL", "_", "OLDPWD"}
    assert names == {"PATH", "HOME", "USER", "LOGNAME", "LANG"}


def test_a_command_that_fails_is_tried_again_until_it_takes_the_event(home, book, teller, until):
    teller.set_up("#!/bin/sh\ncat >> {heard}\n[ $(wc -l < {heard}) -gt 2 ] || { echo no route >&2; exit 7; }\n")
    home.daemon.start()
    fail(home, book)
    until(lambda: teller.states() == [("held-for-a-failure", "sent", 3, "")], teller.states)
    first, second, third = teller.events()
    assert [event["try"] for event in (first, second, third)] == [1, 2, 3]
    assert len({event["id"] for event in (first, second, third)}) == 1
    assert "exit code 7" in home.daemon.said()


def test_a_command_that_hangs_is_killed_with_its_children_and_holds_nothing_up(home, book, teller, until):
    more = "timeout_s = 0.3\ngive_up_s = 0\n"
    path = teller.set_up("#!/bin/sh\ncat >> {heard}\nsleep 1000 &\nsleep 1000\n", more)
    home.daemon.start()
    fail(home, book)
    problem = f"{path} was killed: it had not ended after 0.3 s"
    until(lambda: teller.states() == [("held-for-a-failure", "given-up", 1, problem)], teller.states)
    until(lambda: not [pid for pid in home.carriers() if b"sleep\x001000" in cmdline(pid)], "the end of what it started")
    (given_up,) = home.journal("notice.given-up")
    assert json.loads(given_up[3]) == {"kind": "held-for-a-failure", "tries": 1, "problem": problem}
    assert "a notice was given up" in home.daemon.said()


def cmdline(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


def test_runs_go_on_while_the_command_is_at_work(home, book, teller, until):
    gate = home.folder / "gate"
    teller.set_up(f"#!/bin/sh\ncat >> {{heard}}\nuntil [ -e {gate} ]; do sleep 0.02; done\n")
    home.daemon.start()
    fail(home, book)
    until(teller.events, "the call")
    home.submit(book.workflow("other", mutexes=["b"]))
    assert home.wait_phase("other") == "Succeeded"
    assert [state for _, state, *_ in teller.states()] == ["waiting"]
    gate.touch()
    until(lambda: [state for _, state, *_ in teller.states()] == ["sent"], teller.states)


@pytest.mark.parametrize("point", ["notify", "notified"])
def test_a_daemon_killed_between_the_row_and_the_sending_tells_at_its_next_start(home, book, teller, until, point):
    teller.set_up()
    home.daemon.start(LINECLEAR_FAILPOINT=point)
    home.submit(book.workflow("broken", mutexes=["a"], code=3))
    assert home.daemon.wait() == -signal.SIGKILL
    home.daemon.start()
    until(lambda: teller.states() == [("held-for-a-failure", "sent", 1, "")], teller.states)
    assert len({event["id"] for event in teller.events()}) == 1
    assert len(teller.events()) == (1 if point == "notify" else 2)


def test_a_daemon_that_ends_takes_a_hanging_command_along_and_the_next_one_tells(home, book, teller, until):
    teller.set_up("#!/bin/sh\ncat >> {heard}\nexec sleep 1000\n")
    home.daemon.start()
    fail(home, book)
    until(teller.events, "the call")
    assert home.daemon.stop() == 0
    assert not [pid for pid in home.carriers() if b"sleep\x001000" in cmdline(pid)]
    teller.set_up()
    home.daemon.start()
    until(lambda: teller.states() == [("held-for-a-failure", "sent", 1, "")], teller.states)


def test_a_command_that_does_not_exist_is_told_in_the_log_and_a_big_output_is_no_trouble(home, book, teller, until):
    home.set_up('[notify]\ncommand = ["/no/such/program"]\ngive_up_s = 0\n')
    home.daemon.start()
    fail(home, book)
    problem = "/no/such/program could not be started: No such file or directory"
    until(lambda: teller.states() == [("held-for-a-failure", "given-up", 1, problem)], teller.states)
    home.daemon.stop()
    teller.set_up("#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\necho; echo done; exit 1\n", "give_up_s = 0\n")
    home.daemon.start()
    home.ask("retry", run="broken")
    until(lambda: len(teller.states()) == 2 and teller.states()[1][1] == "given-up", teller.states)
    assert teller.states()[1][3].endswith("ended with exit code 1: done")


def test_a_bad_revision_and_a_low_disk_are_told_once_and_only_what_is_listed(home, book, teller, until):
    teller.set_up(more='disk_low_mb = 100000000\nevents = ["sync-failed", "disk-low"]\n')
    home.set_up('receive = "warn"\n' + (home.root / "lineclear.toml").read_text())
    home.daemon.start()
    until(lambda: [row[:2] for row in teller.states()] == [("disk-low", "sent")], teller.states)
    head = home.commit({"bad.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n"})
    home.push_head()
    until(lambda: len(teller.events()) == 2, teller.states)
    disk, sync = teller.events()
    assert disk["detail"]["limit_bytes"] == 10**14
    assert disk["detail"]["free_bytes"] < 10**14
    assert sync["text"].startswith(f"commit {head[:10]} is applied in part: bad.yaml:")
    assert (sync["detail"]["commit"], sync["detail"]["state"]) == (head, "applied in part")
    fail(home, book)
    home.daemon.stop()
    home.daemon.start()
    home.submit(book.workflow("after"))
    home.wait_phase("after")
    assert [kind for kind, *_ in teller.states()] == ["disk-low", "sync-failed"]


def test_a_revision_that_would_remove_much_and_a_lost_branch_are_told(home, book, teller, until):
    teller.set_up()
    home.daemon.start()
    home.push({f"{n}.yaml": book.template(f"t{n}") for n in range(8)})
    head = home.commit(remove=[f"{n}.yaml" for n in range(7)])
    home.push_head()
    until(lambda: len(teller.events()) == 1, teller.states)
    assert teller.events()[0]["detail"]["state"] == "held"
    assert teller.events()[0]["detail"]["commit"] == head
    home.git("update-ref", "-d", "refs/heads/main", cwd=home.bare)
    home.git("symbolic-ref", "HEAD", "refs/heads/main", cwd=home.bare)
    until(lambda: len(teller.events()) == 2, teller.states)
    assert "branch main is not there" in teller.events()[1]["text"]


def test_without_a_command_nothing_is_written_down(home, book):
    home.daemon.start()
    fail(home, book)
    assert home.rows("SELECT count(*) FROM notice") == [(0,)]


def test_a_test_event_is_sent_by_the_daemon_and_its_outcome_is_answered(home, teller):
    path = teller.set_up("#!/bin/sh\ncat >> {heard}\necho heard\nexit 4\n")
    home.daemon.start()
    found = home.ask("notify_test")
    assert (found["problem"], found["output"]) == (f"{path} ended with exit code 4", "heard")
    assert [(event["kind"], event["id"]) for event in teller.events()] == [("test", 0)]
    assert teller.states() == []

