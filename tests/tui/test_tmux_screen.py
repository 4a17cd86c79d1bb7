"""The installed command in a real terminal, with real keys: tmux on a socket of its own, a home with real rows."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed on this machine")
COMMAND = Path(sys.executable).with_name("lineclear")
DEADLINE_S = 60.0
_SPEC = importlib.util.spec_from_file_location("lineclear_tui_rows", Path(__file__).parents[1] / "cli" / "rows.py")
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


class Terminal:
    """One tmux server with one window that runs the screen."""

    def __init__(self, folder):
        self.socket = f"lc{os.getpid()}-{folder.name}"
        self.folder = folder

    def tmux(self, *words):
        argv = ["tmux", "-L", self.socket, "-f", "/dev/null", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def open(self, *words, size=(120, 36), **environ):
        env = {"COLORTERM": "truecolor", "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environ}
        pairs = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
        command = f"env -u NO_COLOR {pairs} {COMMAND} --home {self.folder / 'home'} tui {shlex.join(words)}; echo LEFT $?; cat"
        self.tmux("new-session", "-d", "-s", "s", "-x", str(size[0]), "-y", str(size[1]), command)

    def press(self, *keys):
        self.tmux("send-keys", "-t", "s", *keys)

    def type(self, text):
        self.tmux("send-keys", "-t", "s", "-l", text)

    def text(self, *more):
        return self.tmux("capture-pane", "-p", *more, "-t", "s")

    def sees(self, *words, without=()):
        deadline = time.monotonic() + DEADLINE_S
        while True:
            text = self.text()
            if all(word in text for word in words) and not any(word in text for word in without):
                return text
            assert time.monotonic() < deadline, f"not seen: {words} without {without}\n{text}"
            time.sleep(0.05)

    def close(self):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def rows():
    folder = Path(tempfile.mkdtemp(prefix="lct"))
    built = _MODULE.Rows(folder / "home")
    stuck, waiting, other = built.run("migrate-7f2qd", "Failed"), built.run("deploy-api"), built.run("tf-apply", "Running")
    lock, second = built.lock("prod-db"), built.lock("terraform")
    built.claim(stuck, "held", [lock])
    built.claim(waiting, "waiting", [lock])
    built.claim(other, "held", [second])
    built.node(stuck, "", "Failed")
    yield built
    built.db.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def terminal(rows):
    opened = Terminal(rows.home.parent)
    yield opened
    opened.close()


def test_real_keys_open_rooms_move_filter_and_leave(terminal):
    terminal.open()
    terminal.sees("STUCK", "prod-db", "migrate-7f2qd", "deploy-api", "No daemon is running")
    terminal.press("G")
    terminal.sees("> ● HELD")
    terminal.press("g", "2")
    terminal.sees("Runs · 3")
    terminal.press("/")
    terminal.type("tf-")
    terminal.sees("1 of 3")
    terminal.press("Escape")
    terminal.sees("Runs · 3", without=["1 of 3"])
    terminal.press("1", "Enter")
    terminal.sees("first come first served")
    terminal.press("Escape")
    terminal.sees("Locks · 2")
    terminal.press("?")
    terminal.sees("Keys", "CHANGES")
    terminal.press("Escape")
    terminal.sees("Locks · 2", without=["CHANGES"])
    terminal.press("q")
    terminal.sees("LEFT 0")


def test_the_dialog_takes_a_reason_and_the_epoch_and_escape_leaves_all_as_it_is(terminal, rows):
    terminal.open()
    terminal.sees("STUCK")
    terminal.press("T")
    terminal.sees("Terminate the holder of prod-db", "a reason is needed", "deploy-api")
    terminal.press("Tab")
    terminal.sees("[ Cancel ]")
    terminal.type("worker gone")
    terminal.sees("worker gone", "prod-db#1 is to be typed")
    terminal.press("Tab")
    terminal.type("prod-db#1")
    terminal.sees("same as: lineclear terminate-stuck-holder", "prod-db#1")
    terminal.press("Escape")
    terminal.sees("Locks · 2", without=["Terminate the holder of"])
    held = rows.db.execute("SELECT count(*) FROM claim WHERE state = 'held'").fetchone()[0]
    assert held == 2


def test_read_only_says_so_and_opens_no_dialog(terminal):
    terminal.open("--read-only")
    terminal.sees("RO", "STUCK")
    terminal.press("T")
    terminal.sees("--read-only", without=["Will do"])


def test_a_resized_terminal_is_filled_anew(terminal):
    terminal.open()
    terminal.sees("NEXT IN LINE")
    terminal.tmux("resize-window", "-t", "s", "-x", "80", "-y", "24")
    terminal.sees("prod-db", "QUEUE", without=["NEXT IN LINE"])
    terminal.tmux("resize-window", "-t", "s", "-x", "50", "-y", "12")
    terminal.sees("too small")


def test_without_colour_the_stuck_lock_is_reversed_and_no_colour_is_sent(terminal):
    terminal.open(NO_COLOR="1")
    terminal.sees("STUCK")
    written = terminal.text("-e")
    assert "\x1b[38;" not in written
    assert "\x1b[48;" not in written
    assert "\x1b[7m" in written or ";7m" in written or "\x1b[1;7m" in written


def test_no_text_from_outside_changes_the_terminals_title(terminal, rows):
    evil = "\x1b]2;PWNED\x1b\\[/x]"
    run = rows.run("evil", "Failed", message=evil)
    rows.claim(run, "held", [rows.lock(f"db{evil}")])
    rows.add("journal", at=_MODULE.NOON, kind="note", actor=evil, namespace="default", run="evil", subject=evil, detail_json="{}")
    terminal.open()
    terminal.sees("STUCK", "db")
    for key in ("2", "6", "1", "G", "Enter"):
        terminal.press(key)
        terminal.sees("Journal")
    assert "PWNED" not in terminal.tmux("display", "-p", "-t", "s", "#{pane_title}")


def test_without_a_terminal_it_says_so_and_names_what_to_use_instead(rows):
    words = [COMMAND, "--home", rows.home, "tui"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is no terminal" in done.stderr
    assert "lineclear locks" in done.stderr


def test_other_commands_do_not_import_what_the_screen_draws_with(rows):
    code = "import sys; from reconciler.__main__ import main; main(); print('textual' in sys.modules or 'rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "locks", "--home", str(rows.home)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
