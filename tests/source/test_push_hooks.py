"""Real pushes through the installed hooks, against a daemon that answers, hangs, talks nonsense or is not there."""

import json
import os
import socket
import sys
import threading
import time

import pytest

from reconciler.source.hosting import create_hosted

ONE_PUSH_S = 5


class Daemon:
    """A socket at the home that answers each verb with the given lines; None means: never answer."""

    def __init__(self, home, answers):
        self.answers, self.requests, self.open = answers, [], []
        folder = os.open(home, os.O_RDONLY)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"/proc/self/fd/{folder}/control.sock")
        os.close(folder)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                channel, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(channel)
            request = json.loads(channel.makefile().readline())
            self.requests.append(request)
            lines = self.answers.get(request["verb"])
            if lines is not None:
                channel.sendall(
                    b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
                )
                channel.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for channel in self.open:
            channel.close()


@pytest.fixture
def daemon(desk):
    started = []

    def begin(**answers):
        started.append(Daemon(desk.home, answers))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def remote_lines(done):
    return [line.removeprefix("remote: ").rstrip() for line in done.stderr.splitlines() if line.startswith("remote: ")]


def test_the_daemon_says_what_it_says_and_hears_the_whole_push(desk, daemon, manifest):
    told = daemon(
        check=[{"say": 'looks \u00e9 "good" \\ fine'}, {"exit": 0}],
        pushed=[{}, {"say": "1 run submitted"}, {"say": "waits for nothing"}, {"exit": 0}],
    )  # fmt: skip
    sha = desk.commit({"a.yaml": manifest("a")})
    done = desk.push("-o", "receive.lineclear=warn", "-o", "two words", "origin", "HEAD:main")
    assert remote_lines(done) == ['looks é "good" \\ fine', "1 run submitted", "waits for nothing"]
    check, pushed = told.requests
    assert check["updates"] == pushed["updates"] == [["0" * 40, sha, "refs/heads/main"]]
    assert check["options"] == ["receive.lineclear=warn", "two words"]
    assert check["quarantine"]["GIT_QUARANTINE_PATH"].startswith(str(desk.bare))
    assert pushed["verb"] == "pushed"


def test_a_refusal_of_the_daemon_refuses_the_push(desk, daemon, manifest):
    told = daemon(check=[{"say": "a.yaml:4:9: error LC201: no"}, {"exit": 1}])
    desk.commit({"a.yaml": manifest("a")})
    done = desk.push(check=False)
    assert (done.returncode, remote_lines(done)) == (1, ["a.yaml:4:9: error LC201: no"])
    assert len(told.requests) == 1


def test_text_that_could_act_on_a_terminal_arrives_as_escapes(desk, daemon, manifest):
    daemon(check=[{"say": "\x1b]0;title\x07 \u202egnp \x9b31m"}, {"exit": 0}], pushed=[{"exit": 0}])
    desk.commit({"a.yaml": manifest("a")})
    assert remote_lines(desk.push()) == [r"\x1b]0;title\x07 \u202egnp \x9b31m"]


@pytest.mark.parametrize("state", ["down", "hung", "nonsense", "gone in the middle"])
def test_without_an_answer_the_hook_checks_by_itself_and_the_push_goes_through(desk, daemon, manifest, state):
    if state == "hung":
        daemon(check=None, pushed=None)
    elif state != "down":
        daemon(check=[b"{]\xff\n" if state == "nonsense" else {"say": "one moment"}], pushed=[b"\n"])
    desk.commit({"a.yaml": manifest("a")})
    assert remote_lines(desk.push())[-1] == "accepted; see lineclear sync"
    desk.commit({"b.yaml": manifest("Bad_Name"), "c.yaml": manifest("Worse_Name")})
    done = desk.push(check=False)
    assert done.returncode == 1
    assert {line.split(":")[0] for line in remote_lines(done) if ": error " in line} == {"b.yaml", "c.yaml"}
    assert desk.push("-o", "receive.lineclear=warn", "origin", "HEAD:main").returncode == 0


def test_a_hung_daemon_costs_each_hook_at_most_its_tenth_of_a_second(desk, daemon, manifest):
    def took():
        desk.commit({"a.yaml": manifest("a", str(time.monotonic_ns()))})
        began_at = time.monotonic()
        desk.push()
        return time.monotonic() - began_at

    down_s = min(took() for _ in range(3))
    daemon(check=None, pushed=None)
    hung_s = min(took() for _ in range(3))
    assert hung_s - down_s < 2.0  # nobody waits for the hung daemon longer than that, whatever else the machine does


def test_other_branches_deletions_rewinds_and_tags_are_taken(desk, manifest):
    first = desk.commit({"a.yaml": manifest("a")})
    desk.push()
    desk.commit({"b.yaml": manifest("b")})
    desk.push()
    assert (
        remote_lines(desk.push("origin", "HEAD:refs/heads/topic"))[0] == "refs/heads/topic: not watched: only refs/heads/main is"
    )
    desk.push("-f", "origin", f"{first}:main")
    desk.push("origin", "HEAD:refs/tags/v1")
    done = desk.push("origin", ":main")
    assert any("refs/heads/main is deleted: nothing is removed" in line for line in remote_lines(done))
    desk.push()


def test_a_home_of_any_path_length_is_reached(short_dir, manifest, desk, daemon):
    long = short_dir / ("x" * 90) / ("y" * 90)
    long.mkdir(parents=True)
    bare = long / "repo.git"
    create_hosted(bare, "main", None, sys.executable, home=long)
    desk.home = long
    told = daemon(check=[{"exit": 0}], pushed=[{"say": "heard"}, {"exit": 0}])
    desk.commit({"a.yaml": manifest("a")})
    assert remote_lines(desk.push(str(bare), "HEAD:main")) == ["heard"]
    assert len(told.requests) == 2


def test_a_lineclear_that_is_gone_stops_no_push_and_init_repairs_the_hooks(desk, manifest):
    for name in ("pre-receive", "post-receive"):
        hook = desk.bare / "hooks" / name
        hook.write_text(hook.read_text().replace("/source'", "/elsewhere'"))
    desk.commit({"a.yaml": manifest("a")})
    assert "lineclear is gone" in desk.push().stderr
    assert create_hosted(desk.bare, "main", None, sys.executable, home=desk.home) is False
    desk.commit({"a.yaml": manifest("a", "false")})
    assert remote_lines(desk.push()) == ["accepted; see lineclear sync"]


def test_a_broken_check_of_its_own_stops_no_push(desk, manifest):
    hook = desk.bare / "hooks" / "pre-receive"
    parts = hook.read_text().rpartition("hook.main(")
    hook.write_text(parts[0] + parts[1] + f"'pre-receive', {str(desk.home)!r}, '/bin/false', '/'))\n")
    desk.commit({"a.yaml": manifest("Bad_Name")})
    assert any("could not be checked: the check ended with 1; it is taken" in line for line in remote_lines(desk.push()))
