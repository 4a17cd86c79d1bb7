"""Keys: what each does, what it refuses and why. The app is real; reader and operator are the test's."""

from __future__ import annotations

from dataclasses import replace

import pytest


def test_the_first_frame_answers_which_lock_is_stuck_who_holds_it_and_who_is_next(play):
    async def act(stage):
        await stage.sees("■ STUCK", "prod-db", "migrate-7f2qd", "4h12m", "deploy-api-k8x2p", "gpu-pool ▲")

    play(act)


@pytest.mark.parametrize(
    ("key", "word"), [("2", "Runs · 6"), ("3", "Queues · 3"), ("4", "Crons · 2"), ("5", "Revisions · 3"), ("6", "Entries · 3")]
)
def test_a_number_opens_its_room_and_one_comes_back(play, key, word):
    async def act(stage):
        await stage.press(key)
        await stage.sees(word)
        await stage.press("1")
        await stage.sees("Locks · 7")

    play(act)


def test_a_click_on_a_room_opens_it(play):
    async def act(stage):
        at = stage.lines()[0].index("5 Git")
        await stage.pilot.click(offset=(at + 1, 0))
        await stage.sees("Revisions · 3")

    play(act)


def test_letters_and_arrows_move_the_cursor_and_stop_at_the_ends(play):
    async def act(stage):
        table = stage.app.room().table
        await stage.press("j", "down", "k")
        assert table.cursor == 1
        await stage.press("G")
        assert table.cursor == 6
        await stage.press("j")
        assert table.cursor == 6
        await stage.press("g", "up")
        assert table.cursor == 0

    play(act)


def test_the_cursor_stays_with_its_lock_when_others_come_before_it(play, scenes):
    async def act(stage):
        await stage.press("j", "j")
        assert stage.app.room().table.key == "default/Mutex/terraform/core"
        await stage.show(locks=tuple(reversed(scenes.LOCKS)))
        assert stage.app.room().table.key == "default/Mutex/terraform/core"
        await stage.show(locks=scenes.LOCKS[:2])
        assert stage.app.room().table.key == "default/ConfigMap/gpu-pool"
        await stage.show(locks=())
        assert stage.app.room().table.key is None
        await stage.show(locks=scenes.LOCKS)
        assert stage.app.room().table.key is not None

    play(act)


def test_a_filter_narrows_at_every_key_and_escape_clears_it(play):
    async def act(stage):
        await stage.press("slash")
        await stage.type("state:stuck")
        await stage.sees("1 of 7")
        assert not stage.has("gpu-pool  ")
        await stage.press("enter")
        assert stage.app.room().filter == "state:stuck"
        await stage.press("escape")
        await stage.sees("Locks · 7")

    play(act)


def test_a_filter_that_hides_everything_says_how_to_get_it_back(play):
    async def act(stage):
        await stage.press("slash")
        await stage.type("zzz")
        await stage.sees("No locks match", "zzz", "7 hidden")
        await stage.press("escape")
        await stage.sees("Locks · 7")

    play(act)


def test_the_last_filter_is_offered_again(play):
    async def act(stage):
        await stage.press("slash")
        await stage.type("dns")
        await stage.press("enter", "escape", "slash")
        assert stage.app.focused.value == "dns"

    play(act)


def test_o_goes_through_the_orders_and_back_to_urgency(play):
    async def act(stage):
        room = stage.app.room()
        first = [row.key for row in room.table.rows]
        await stage.press("o")
        assert [row.key for row in room.table.rows] == sorted(first)
        for _ in range(len(room.SORTS) - 1):
            await stage.press("o")
        assert [row.key for row in room.table.rows] == first

    play(act)


def test_space_marks_a_row_and_the_mark_follows_it(play, scenes):
    async def act(stage):
        await stage.press("space")
        await stage.sees("1 marked (+)")
        await stage.show(locks=tuple(reversed(scenes.LOCKS)))
        marked = [line for line in stage.lines() if "+ ■" in line or "+■" in line]
        assert len(marked) == 1
        assert "prod-db" in marked[0]

    play(act)


def test_why_opens_the_head_of_the_queue_and_says_position_and_holder(play):
    async def act(stage):
        await stage.press("w")
        await stage.sees("deploy-api-k8x2p waits for 1 lock", "1st in the queue", "held by")

    play(act)


def test_from_a_cold_start_slash_and_enter_tell_why_a_run_waits(play):
    async def act(stage):
        await stage.press("2", "slash")
        await stage.type("api")
        await stage.press("enter", "enter")
        await stage.sees("WAITING  prod-db #1", "Why · waiting")

    play(act)


def test_l_on_a_lock_opens_the_logs_of_its_holder(play):
    async def act(stage):
        await stage.press("l")
        await stage.sees("migrate-7f2qd", "line 8 of the log")
        assert stage.app.focused.id == "logs"

    play(act)


def test_logs_filter_invert_and_go_to_matches(play):
    async def act(stage):
        await stage.press("2", "enter", "l")
        await stage.sees("line 8")
        await stage.press("slash")
        await stage.type("error")
        await stage.press("enter")
        await stage.sees("1 of 10 lines", "ERROR: no space left")
        assert not stage.has("line 8")
        await stage.press("slash")
        await stage.type("!line")
        await stage.press("enter")
        await stage.sees("2 of 10 lines")
        await stage.press("escape")
        await stage.sees("line 8")

    play(act)


def test_f_stops_following_and_new_lines_do_not_move_the_view(play):
    async def act(stage):
        stage.script.log_lines = {2: tuple(f"line {number}" for number in range(400))}
        await stage.press("2", "enter")
        await stage.sees("line 399", "following")
        await stage.press("f")
        await stage.sees("f follows")
        top = stage.app.room().logs.top
        stage.script.log_lines = {2: tuple(f"line {number}" for number in range(500))}
        await stage.refresh()
        await stage.until(lambda: len(stage.app.room().logs.entries) == 500, "new lines")
        assert stage.app.room().logs.top == top
        await stage.press("f")
        await stage.sees("line 499")

    play(act)


def test_the_tree_folds_and_stays_folded_through_a_refresh(play, scenes):
    async def act(stage):
        await stage.press("2", "enter")
        await stage.sees("arm64")
        await stage.press("j", "j", "space")
        assert not stage.has("arm64  ")
        await stage.sees("+2 nodes")
        await stage.show(waiting_total=28)
        assert not stage.has("amd64")
        await stage.press("space")
        await stage.sees("arm64")

    play(act)


def test_the_logs_of_a_page_are_not_doubled_when_one_comes_back_to_it(play):
    async def act(stage):
        await stage.press("2", "enter")
        await stage.sees("line 8")
        await stage.press("1", "2")
        await stage.sees("Run", "line 8")
        await stage.refresh()
        assert len(stage.app.room().logs.entries) == 10

    play(act)


def test_z_holds_the_view_still_and_says_since_when(play, scenes):
    async def act(stage):
        await stage.press("z")
        await stage.sees("FROZEN 22:41:07")
        await stage.show(locks=scenes.LOCKS[:1])
        await stage.sees("Locks · 7")
        await stage.press("z")
        await stage.sees("Locks · 1")

    play(act)


def test_c_copies_the_key_and_capital_y_the_command(play):
    async def act(stage):
        await stage.press("c")
        assert stage.app.clipboard == "default/Mutex/prod-db"
        await stage.press("Y")
        assert stage.app.clipboard == "lineclear locks show default/Mutex/prod-db"

    play(act)


def test_help_lists_every_action_of_the_room_and_why_some_are_not_possible(play):
    async def act(stage):
        await stage.press("G", "question_mark")
        await stage.sees("Keys", "terminate the holder of the lock")
        seen = "\n".join("".join(text for text, _ in line) for line in stage.app.screen.view.lines)
        assert "not now: nobody holds nightly" in seen
        await stage.press("escape")
        await stage.sees("Locks · 7")

    play(act)


def test_the_palette_goes_to_a_lock_by_some_letters_of_its_name(play):
    async def act(stage):
        await stage.press("colon")
        await stage.type("terraf")
        await stage.sees("lock terraform/core")
        await stage.press("down", "enter")
        await stage.until(lambda: stage.app.room().ROOM == "lock", "the lock's page")
        await stage.sees("default/Mutex/terraform/core")

    play(act)


def test_the_theme_key_goes_through_dark_light_and_the_terminals_own(play):
    async def act(stage):
        names = [stage.app.theme]
        for _ in range(3):
            await stage.press("t")
            names.append(stage.app.theme)
        assert names == ["lineclear-dark", "lineclear-light", "ansi-dark", "lineclear-dark"]

    play(act)


def test_enter_on_a_cron_shows_its_runs_only(play, scenes):
    async def act(stage):
        rows = (*scenes.RUNS, replace_run(scenes.RUNS[4], cron="nightly", name="nightly-1"))
        await stage.show(runs=rows)
        await stage.press("4", "enter")
        await stage.sees("1 of 7", "nightly-1")

    play(act)


def replace_run(row, **changes):
    return row._replace(**changes) if hasattr(row, "_replace") else replace(row, **changes)


def test_enter_on_a_journal_entry_opens_its_run(play):
    async def act(stage):
        await stage.press("6")
        await stage.sees("submitted")
        await stage.press("j", "enter")
        await stage.sees("Runs \u203a deploy-api-k8x2p")

    play(act)


def test_q_leaves_a_page_first_and_then_the_screen(play):
    async def act(stage):
        await stage.press("enter")
        await stage.sees("Locks \u203a default/Mutex/prod-db")
        await stage.press("q")
        await stage.sees("Locks · 7")
        await stage.press("q")
        await stage.until(lambda: not stage.app.is_running, "the end")

    play(act)


def test_growing_and_shrinking_the_terminal_shows_and_hides_the_pane_beside_the_list(play):
    async def act(stage):
        await stage.sees("NEXT IN LINE")
        await stage.pilot.resize_terminal(80, 24)
        await stage.rest()
        assert not stage.has("NEXT IN LINE")
        assert stage.has("prod-db", "4h12m", "14")
        await stage.pilot.resize_terminal(120, 36)
        await stage.sees("NEXT IN LINE")

    play(act)
