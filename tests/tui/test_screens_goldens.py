"""Every screen as text, at a wide and at the least usual size. LINECLEAR_GOLDEN=write writes them anew; read the diff then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden")
SIZES = {"120x36": (120, 36), "80x24": (80, 24)}
SCREENS = {
    "locks": (),
    "runs": ("2",),
    "queues": ("3",),
    "crons": ("4",),
    "git": ("5",),
    "journal": ("6",),
    "lock": ("enter",),
    "run": ("2", "enter"),
    "terminate": ("T",),
    "stop": ("2", "X"),
    "help": ("question_mark",),
    "filter": ("slash", "t", "f"),
}
WORDS = {
    "locks": "holding for a failure",
    "git": "drop everything",
    "journal": "holder terminated",
    "lock": "usually",
    "run": "line 8",
    "terminate": "a reason is needed",
    "stop": "Will do",
}


def compare(name, text):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LINECLEAR_GOLDEN") == "write":
        path.write_text(text + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text + "\n"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_looks_as_it_did(play, screen, size):
    async def act(stage):
        await stage.press(*SCREENS[screen])
        word = WORDS.get(screen, "")
        if word and not (size == "80x24" and screen == "locks"):
            await stage.sees(word)
        compare(f"{screen}-{size}", stage.text())

    play(act, size=SIZES[size])


def test_without_any_data_the_rooms_say_what_would_fill_them(play, scenes):
    script = scenes.Script(scenes.Snapshot(at=scenes.NOW, revision=1, instance="one", daemon=scenes.SNAPSHOT.daemon))
    script.git_detail = scenes.GitDetail(sync=scenes.SyncState(), commits=(), findings=())
    script.entries = ()

    async def act(stage):
        said = ("lock was ever", "No run yet", "Nobody waits", "No CronWorkflow", "No revision", "Nothing has")
        for number, words in enumerate(said):
            await stage.press(str(number + 1))
            await stage.sees(words)
        await stage.press("1")
        compare("empty-80x24", stage.text())

    play(act, size=(80, 24), script=script)


def test_a_home_without_a_store_says_so_and_what_to_do(play, scenes):
    script = scenes.Script()
    text = "could not read the state of /h: there is no state.db in it; run `lineclear up`"
    script.answer = scenes.Failure(kind="gone", text=text)

    async def act(stage):
        await stage.sees("OFFLINE", "lineclear up", "Nothing could be read yet")
        compare("gone-80x24", stage.text())

    play(act, size=(80, 24), script=script, is_read=False)


def test_a_terminal_that_is_too_small_says_what_is_the_least(play):
    async def act(stage):
        await stage.sees("too small", "60 x 15")
        assert not stage.has("prod-db")

    play(act, size=(50, 12))


def test_in_ascii_nothing_else_is_drawn(play):
    async def act(stage):
        for key in ("1", "2", "3", "4", "5", "6"):
            await stage.press(key)
            rows = [line for line in stage.lines() if "STATE" in line or "#" in line]
            assert all(line.isascii() for line in rows), rows

    play(act, ascii_only=True, size=(80, 24))
