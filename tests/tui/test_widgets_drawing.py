"""Widgets: what they draw of hostile text, of wide and long text, and how tables and logs keep their place."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console
from textual.app import App
from textual.widgets import Input

from tui.core.fmt import clean
from tui.core.model import FreshnessKind
from tui.dialogs.text import TextDialog
from tui.keymap import ACTIONS, ROOMS, actions_of, reference
from tui.show.layout import Column, fit, fit_columns, fit_line, plain, spread, width_of, wrap
from tui.show.palette import ANSI, DARK, DARK_GROUND, LIGHT, LIGHT_GROUND, MONO
from tui.widgets.cmdlog import CommandLog, Done
from tui.widgets.filterbar import FilterBar
from tui.widgets.lines import LinesView
from tui.widgets.logview import LogView
from tui.widgets.pane import Pane
from tui.widgets.statusbar import Banner, HeadBar, KeyBar
from tui.widgets.textbox import TextBox
from tui.widgets.vtable import VirtualTable

HOSTILE = {
    "closing tag": "err: [/bin/sh] exit 1",
    "colour tag": "x[red]y[/red]",
    "action tag": "[@click=app.quit]z[/]",
    "title": "\x1b]2;PWNED\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "bell and backspaces": "a\x07\x08\x08b",
    "c1": "\x9b31mred\x9d0;t\x9c",
    "line ends": "one\r\ntwo\rthree\u2028four",
    "tabs": "a\tb\tc",
    "bidi": "user\u202egnp.exe",
    "wide": "漢字" * 60,
    "joined": "👩‍👩‍👧‍👦" * 30,
    "combining": "e" + "\u0301" * 400,
    "lone surrogate": "a\udcffb",
    "long": "x" * 1_000_000,
    "nothing": "",
}
COLUMNS = (Column(key="a", title="A", width=6, flex=1, middle=True), Column(key="b", title="B", width=6, right=True))


class Shelf(App[None]):
    """One of each widget, all with the same text."""

    def __init__(self, text):
        super().__init__()
        self.hostile = text

    def compose(self):
        text = self.hostile
        self.table = VirtualTable(COLUMNS, lambda row, _now: ((row, "stuck"), (row, "")), lambda row: row)
        self.view, self.log_view, self.log_of_changes = LinesView(), LogView(), CommandLog()
        yield HeadBar()
        yield Banner()
        yield Pane(self.table, title=text)
        yield Pane(self.view, title="lines")
        yield Pane(self.log_view, title="log")
        yield self.log_of_changes
        yield FilterBar(text)
        yield TextBox(placeholder=text, id="empty")
        yield TextBox(text, placeholder=text, id="full")
        self.box = TextBox(id="later")
        yield self.box
        yield KeyBar()

    def fill(self):
        text = self.hostile
        self.query_one(HeadBar).set_lines((((text, "tab"),), ((text, ""),)))
        self.query_one(Banner).say(text)
        self.query_one(KeyBar).show(((text, "key"),))
        self.table.set_rows([text, text + "2"])
        self.view.set_lines((((text, "strong"), (text, "")),))
        self.log_view.append([(text, text), ("", text)])
        self.log_view.set_search(text[:10])
        self.log_of_changes.show([Done(at=text[:100], ok=True, command=text, text=text, number=1)])
        self.query_one(FilterBar).open(text[:200])
        self.box.placeholder = text
        self.box.insert_text_at_cursor(text)
        self.notify(clean(text[:500]), markup=False)


def as_written(app, size):
    """All that would go to the terminal for one frame, with its width checked on the way."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=size[0], legacy_windows=False)
    for strip in app.screen._compositor.render_strips():
        assert strip.cell_length == size[0]
        for text, style, _ in strip:
            if text:
                out.write(style.render(text, color_system=console._color_system) if style else text)
    return out.getvalue()


def harmful(written):
    """Control characters other than the colours that the console itself makes."""
    import re

    rest = re.sub(r"\x1b\[[0-9;]*m", "", written)
    return sorted({character for character in rest if not character.isprintable() and character not in "\u200d\ufe0f\xa0"})


@pytest.mark.parametrize("name", HOSTILE)
def test_no_widget_lets_text_from_outside_reach_the_terminal_raw(name):
    size = (100, 54)

    async def main():
        app = Shelf(HOSTILE[name])
        async with app.run_test(size=size, notifications=True) as pilot:
            app.fill()
            await pilot.pause()
            await pilot.pause(0.05)
            assert harmful(as_written(app, size)) == []
            app.push_screen(TextDialog(HOSTILE[name][:500], (((HOSTILE[name], ""),),)))
            await pilot.pause()
            assert harmful(as_written(app, size)) == []

    asyncio.run(main())


SHORT = "".join(text for text in HOSTILE.values() if len(text) < 40)


@pytest.mark.parametrize("name", ["all short ones", "line ends", "joined", "combining", "long", "nothing"])
def test_a_screen_full_of_hostile_names_neither_ends_nor_loses_its_frame(play, scenes, name):
    text = HOSTILE.get(name, SHORT)[:5000]
    row = scenes.replace(
        scenes.PROD, name=text, key=f"default/Mutex/{text}", verdict=text, evidence=text,
        holders=(scenes.replace(scenes.PROD.holders[0], run=text, doing=text, verdict=text, evidence=text),),
    )  # fmt: skip
    run = scenes.RUNS[3]._replace(name=text or "r", message=text, workflow=text, by=text)
    script = scenes.Script(scenes.replace(scenes.SNAPSHOT, locks=(row,), runs=(run,)))
    entry = scenes.replace(scenes.JOURNAL[0], text=text, actor=text, subject=text, kind=text, detail={text[:50]: text})
    script.entries = (entry,)
    finding = scenes.replace(scenes.GIT.findings[0], path=text, message=text)
    commit = scenes.replace(scenes.COMMITS[0], author=text, subject=text, message=text)
    script.git_detail = scenes.replace(scenes.GIT, commits=(commit,), findings=(finding,))
    script.log_lines = {2: (text, text)}

    async def act(stage):
        for keys in (("1",), ("enter",), ("1", "T"), ("escape", "2"), ("enter",), ("w",), ("escape", "5"), ("6",), ("colon",)):
            await stage.press(*keys)
            assert harmful(as_written(stage.app, (120, 36))) == []

    play(act, script=script)


@pytest.mark.parametrize("keys", [("T",), ("2", "X")], ids=["terminate", "stop"])
def test_no_dialog_lets_a_hostile_plan_reach_the_terminal_raw(play, scenes, keys):
    """Each dialog of changes with a plan to confirm, a plan that is refused, none at all, and what it told in the end."""
    from tui.show.plans import outcome_lines

    desk = scenes.Desk()
    desk.run = lambda *_given: desk.plan

    async def act(stage):
        await stage.press(*keys)
        await stage.sees("Will do")
        dialog, size = stage.app.screen, (120, 36)
        for text in (text[:3000] for text in HOSTILE.values()):
            plan = scenes.replace(
                desk.plan, title=text, target=text, lines=((text[:20], text), ("Lock", text)), lock=text, argv=("x", text),
                confirmation=f"default/Mutex/{text}#41",
            )  # fmt: skip
            refused, failed = scenes.replace(plan, refused=text or "no"), scenes.Failure(kind="missing", text=text)
            for answer, typed in ((plan, ""), (plan, text), (refused, ""), (failed, "")):
                dialog.query_one("#typed").value = typed
                dialog.take(answer)
                await stage.pilot._wait_for_screen()
                assert harmful(as_written(stage.app, size)) == []
            outcome = scenes.Desk().carry_out(plan, text, "")
            told = outcome_lines(scenes.replace(outcome, text=text, command=text, actor=text), 86)
            stage.app.push_screen(TextDialog(text, told))
            await stage.pilot._wait_for_screen()
            assert harmful(as_written(stage.app, size)) == []
            stage.app.pop_screen()

    play(act, desk=desk)


# layout, pure


def test_columns_go_by_their_rank_until_the_rest_fits_and_never_those_without_one():
    columns = (
        Column(key="a", title="", width=10, flex=1),
        Column(key="b", title="", width=10, drop=2),
        Column(key="c", title="", width=10, drop=1),
    )
    assert [index for index, _ in fit_columns(columns, 40)] == [0, 1, 2]
    assert fit_columns(columns, 40)[0] == (0, 16)
    assert [index for index, _ in fit_columns(columns, 30)] == [0, 2]
    assert [index for index, _ in fit_columns(columns, 12)] == [0]
    assert fit_columns(columns, 6) == ((0, 6),)


@pytest.mark.parametrize("text", ["short", "a much longer name of a run", "漢字漢字漢字漢字漢字", "é" * 30, ""])
@pytest.mark.parametrize("width", [1, 2, 5, 9, 10, 24])
@pytest.mark.parametrize("middle", [True, False])
def test_a_fitted_text_has_exactly_its_width(text, width, middle):
    assert width_of(((fit(text, width, middle=middle), ""),)) == width


def test_a_name_cut_in_its_middle_keeps_both_ends():
    assert fit("deploy-api-k8x2p", 11, middle=True) == "deplo…k8x2p"


def test_lines_are_cut_padded_and_spread_to_the_cell():
    line = (("left", ""), ("more", "key"))
    assert plain([fit_line(line, 6)]) == "leftm…"
    assert width_of(fit_line(line, 20)) == 20
    assert plain([spread(line, (("right", ""),), 20)]) == "leftmore       right"


def test_text_is_wrapped_at_spaces_and_words_too_long_are_broken():
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("漢字", 1) == ["漢", "字"]
    assert wrap("", 5) == [""]


# looks


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("looks", "ground"), [(DARK, DARK_GROUND), (LIGHT, LIGHT_GROUND)], ids=["dark", "light"])
@pytest.mark.parametrize("name", ["stuck", "blocked", "active", "ok", "muted", "idle", "title", "failed"])
def test_words_of_state_can_be_read_on_their_ground(looks, ground, name):
    low, high = sorted((luminance(looks[name].color), luminance(ground.background)))
    assert (high + 0.05) / (low + 0.05) >= 4.5 or name == "title"


def test_every_look_exists_in_all_four_tables_and_stuck_stands_out_without_colour():
    assert set(DARK) == set(LIGHT) == set(ANSI) == set(MONO)
    assert MONO["stuck"].reverse
    assert all(not look.color and not look.background for look in MONO.values())


# keys


def test_no_room_has_one_key_for_two_actions():
    for room in ("locks", "lock", "runs", "run", "queues", "crons", "git", "journal"):
        keys = [key for action in actions_of(room) for key in action.keys]
        assert sorted(keys) == sorted(set(keys)), room


def test_only_four_uppercase_letters_and_approve_change_anything_and_nothing_needs_ctrl():
    assert {key for action in ACTIONS if action.changes for key in action.keys} == {"T", "R", "X", "S", "A"}
    assert all(any("ctrl" not in key for key in action.keys) for action in ACTIONS)


def test_every_action_of_a_room_is_done_by_somebody(play):
    async def act(stage):
        for number, (room, _) in enumerate(ROOMS, 1):
            await stage.press(str(number))
            seen = stage.app.room()
            for action in actions_of(room):
                if not action.id.startswith("room-"):
                    assert hasattr(seen, f"do_{action.id}") or hasattr(stage.app, f"do_{action.id}"), (room, action.id)

    play(act)


def test_the_reference_page_has_the_table_of_keys():
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "reference" / "screen.md"
    assert reference() in page.read_text(encoding="utf-8")


# tables and logs


def test_a_table_draws_what_is_seen_of_ten_thousand_rows_and_keeps_the_cursors_row():
    drawn = []

    class Big(App[None]):
        def compose(self):
            def cells(row, _now):
                drawn.append(row)
                return ((row, ""), (row, ""))

            self.table = VirtualTable(COLUMNS, cells, lambda row: row)
            yield self.table

    async def main():
        app = Big()
        async with app.run_test(size=(60, 20)) as pilot:
            rows = [f"row{number:05d}" for number in range(10_000)]
            app.table.set_rows(rows)
            await pilot.pause()
            assert len(set(drawn)) <= 20
            app.table.move_to(5000)
            app.table.set_rows(rows[100:])
            assert app.table.key == "row05000"
            app.table.set_rows(rows[6000:])
            assert app.table.key is not None
            app.table.set_rows([])
            assert app.table.key is None
            await pilot.pause()

    asyncio.run(main())


def test_a_log_keeps_a_bounded_number_of_lines_and_says_how_many_it_dropped(monkeypatch):
    monkeypatch.setattr("tui.widgets.logview.RING_LINES", 100)

    class Logs(App[None]):
        def compose(self):
            self.view = LogView()
            yield self.view

    async def main():
        app = Logs()
        async with app.run_test(size=(60, 20)) as pilot:
            app.view.append([("s", f"line {number}") for number in range(250)])
            await pilot.pause()
            assert (len(app.view.entries), app.view.dropped) == (100, 150)
            assert app.view.shown[-1][1] == "line 249"
            app.view.set_filter("24")
            assert [text for _, text in app.view.shown][:2] == ["line 224", "line 240"]
            app.view.append([("s", "line 24x"), ("s", "other")])
            assert app.view.shown[-1][1] == "line 24x"

    asyncio.run(main())


def test_a_filter_bar_types_keeps_and_clears(play):
    async def act(stage):
        await stage.press("slash")
        assert isinstance(stage.app.focused, Input)
        await stage.type("q")
        assert stage.app.is_running
        assert stage.app.room().filter == "q"

    play(act)


def test_freshness_turns_stale_when_no_answer_comes(play, scenes):
    async def act(stage):
        stage.app.clock = lambda: scenes.NOW + scenes.timedelta(seconds=14)
        assert stage.app.freshness().kind is FreshnessKind.STALE
        stage.app.room().tick()
        await stage.sees("◐ stale 14s")

    play(act)


def test_columns_that_must_stay_give_way_together_the_widest_first():
    wide, narrow = Column(key="a", title="A", width=16, flex=5), Column(key="b", title="B", width=14, flex=4)
    columns = [wide, narrow, Column(key="c", title="C", width=6)]
    assert dict(fit_columns(columns, 32)) == {0: 11, 1: 11, 2: 6}
    assert dict(fit_columns(columns, 10)) == {0: 4, 1: 4, 2: 6}
