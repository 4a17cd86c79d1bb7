"""Real pushes through the installed hooks, against a daemon that answers, hangs, talks nonsense or is not there."""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from reconciler.model.source import PushVerdict
from reconciler.source import hook as hook_module
from reconciler.source import receipts
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


ANYWAY = ("-o", "receive.lineclear=warn", "origin", "HEAD:main")


def receipt(desk, sha):
    path = desk.home / "checked" / sha
    return path.read_text() if path.exists() else None


def break_hooks(desk, old, new):
    for name in ("pre-receive", "post-receive"):
        hook = desk.bare / "hooks" / name
        hook.write_text(hook.read_text().replace(old, new))


def test_a_lineclear_that_is_gone_refuses_what_it_cannot_check_and_init_repairs_the_hooks(desk, manifest):
    break_hooks(desk, "/source'", "/elsewhere'")
    sha = desk.commit({"a.yaml": manifest("a")})
    refused = desk.push(check=False)
    assert refused.returncode == 1
    assert "lineclear is gone" in refused.stderr
    assert "refused: the push could not be checked; push it unchecked: git push -o receive.lineclear=warn" in refused.stderr
    assert "lineclear is gone" in desk.push(*ANYWAY).stderr
    assert receipt(desk, sha) is None
    assert create_hosted(desk.bare, "main", None, sys.executable, home=desk.home) is False
    sha = desk.commit({"a.yaml": manifest("a", "false")})
    assert remote_lines(desk.push()) == ["accepted; see lineclear sync"]
    assert receipt(desk, sha) == ""


def break_offline(desk, how):
    broken = desk.home.parent / "broken"
    (broken / "reconciler").mkdir(parents=True)
    (broken / "reconciler" / "__init__.py").write_text("import not_there\n")
    hook = desk.bare / "hooks" / "pre-receive"
    parts = hook.read_text().rpartition("hook.main(")
    programs = {"ends": ("/bin/false", "/"), "absent": ("/nonexistent", "/"), "no package": (sys.executable, str(broken))}
    python, root = programs[how]
    hook.write_text(parts[0] + parts[1] + f"'pre-receive', {str(desk.home)!r}, {python!r}, {root!r}))\n")


@pytest.mark.parametrize(
    ("how", "why"),
    [("ends", "the check ended with 1; see"), ("absent", "No such file"), ("no package", "the check ended with 1; see")],
)
def test_a_check_that_breaks_refuses_and_says_how_to_push_all_the_same(desk, manifest, how, why):
    break_offline(desk, how)
    sha = desk.commit({"a.yaml": manifest("a")})
    refused = desk.push(check=False)
    told = [line for line in remote_lines(refused) if line.startswith("refused: the push could not be checked: ")]
    assert refused.returncode == 1
    assert len(told) == 1
    assert why in told[0]
    assert told[0].endswith("mend that, or push it unchecked: git push -o receive.lineclear=warn")
    assert "Traceback" not in refused.stderr
    if how == "no package":
        assert "No module named" in (desk.home / "log" / "hook.log").read_text()

    taken = desk.push(*ANYWAY)
    assert any("let through by receive.lineclear=warn" in line for line in remote_lines(taken))
    assert receipt(desk, sha).startswith("not checked: ")
    assert "; let through by receive.lineclear=warn; pushed by " in receipt(desk, sha)


def test_a_bug_in_the_hook_itself_is_a_reason_and_no_trace(desk, manifest):
    hook = desk.bare / "hooks" / "pre-receive"
    hook.write_text(hook.read_text().replace("del sys.path[0]", "del sys.path[0]; hook.talk = None"))
    desk.commit({"a.yaml": manifest("a")})
    refused = desk.push(check=False)
    assert refused.returncode == 1
    assert "refused: the push could not be checked: TypeError: 'NoneType' object is not callable" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_mistake_of_ours_in_the_check_refuses_with_a_reference_that_stands_in_the_log(desk, manifest, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'reconciler.source.receipts':\n"
        "            import reconciler.source.check as check\n"
        "            check._check_update = None\n"
        "sys.meta_path.insert(0, Late())\n"
    )
    hook = desk.bare / "hooks" / "pre-receive"
    root = str(Path(hook_module.__file__).parents[2])
    hook.write_text(hook.read_text().replace(f"{root!r}))", f"{str(tmp_path) + ':' + root!r}))"))
    desk.commit({"a.yaml": manifest("a")})
    refused = desk.push(check=False)
    told = next(line for line in remote_lines(refused) if "could not be checked" in line)
    assert "the check failed: TypeError at source/check.py:" in told
    reference = told.partition("with reference ")[2].partition(";")[0]
    log = (desk.home / "log" / "hook.log").read_text()
    assert f"{reference}: " in log
    assert "Traceback" in log
    assert desk.push(*ANYWAY).returncode == 0


def test_a_daemon_that_answers_with_an_error_is_no_answer(desk, daemon, manifest):
    daemon(check=[{"error": {"code": 5, "message": "the store could not be read"}}], pushed=[{"exit": 0}])
    sha = desk.commit({"a.yaml": manifest("a")})
    began_at = time.monotonic()
    desk.push()
    assert time.monotonic() - began_at < 25
    assert receipt(desk, sha) == ""


def test_errors_that_are_let_through_are_written_down(desk, manifest):
    sha = desk.commit({"a.yaml": manifest("Bad_Name")})
    assert desk.push(check=False).returncode == 1
    assert receipt(desk, sha) is None
    desk.push(*ANYWAY)
    assert receipt(desk, sha).startswith("1 error let through by receive.lineclear=warn; pushed by ")


def test_hooks_of_the_pushers_own_configuration_do_not_take_the_place_of_the_check(desk, manifest, tmp_path):
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\thooksPath = /dev/null\n")
    desk.env = lambda env=desk.env: env() | {"GIT_CONFIG_GLOBAL": str(settings)}
    sha = desk.commit({"a.yaml": manifest("Bad_Name")})
    assert desk.push(check=False).returncode == 1
    sha = desk.commit({"a.yaml": manifest("a")})
    desk.push()
    assert receipt(desk, sha) == ""


def test_receipts_do_not_pile_up(desk):
    for number in range(receipts.MOST_KEPT + 1):
        receipts.write_receipt(str(desk.home), PushVerdict(head=f"{number:040}"), "ann")
    names = sorted(name for name in os.listdir(desk.home / "checked"))
    assert len(names) == receipts.MOST_KEPT // 2
    assert f"{receipts.MOST_KEPT:040}" in names
