"""Changes: each through a dialog with a fresh plan and Cancel focused, none by accident, none with --read-only or old data."""

from __future__ import annotations

import threading

import pytest

REASON = "worker gone"


async def confirm(stage, *, typed="prod-db#41"):
    """Fills the terminate dialog in and confirms."""
    await stage.press("T")
    await stage.sees("Will do")
    stage.app.screen.query_one("#reason").focus()
    await stage.type(REASON)
    await stage.press("enter")
    await stage.type(typed)
    stage.app.screen.query_one("#confirm").focus()
    await stage.press("enter")


def test_terminate_shows_the_plan_and_nothing_is_confirmed_until_reason_and_epoch_are_typed(play):
    async def act(stage):
        await stage.press("T")
        await stage.sees("Will do", "a reason is needed", "Next", "then 13 more")
        assert stage.app.focused.id == "cancel"
        dialog = stage.app.screen
        assert dialog.query_one("#confirm").disabled
        dialog.query_one("#reason").focus()
        await stage.type(REASON)
        assert dialog.query_one("#confirm").disabled
        await stage.press("enter")
        await stage.type("prod-db#4")
        assert dialog.query_one("#confirm").disabled
        await stage.type("1")
        assert not dialog.query_one("#confirm").disabled
        await stage.sees("same as: lineclear terminate-stuck-holder", REASON)
        assert stage.desk.carried == []

    play(act)


def test_a_confirmed_termination_sends_the_plan_that_was_shown_and_logs_the_outcome(play):
    async def act(stage):
        await confirm(stage)
        await stage.until(lambda: stage.desk.carried, "the request")
        plan, reason, typed = stage.desk.carried[0]
        assert (plan.epoch, reason, typed) == (41, REASON, "default/Mutex/prod-db#41")
        await stage.sees("ok", "lineclear terminate-stuck-holder", "journal #4413", "next: deploy-api-k8x2p")

    play(act)


def test_what_is_typed_right_after_tab_goes_to_the_next_field_however_fast_it_comes(play):
    async def act(stage):
        await stage.press("T")
        await stage.sees("Will do", "a reason is needed")
        reason, typed = (stage.app.screen.query_one(f"#{name}") for name in ("reason", "typed"))
        for name, character in (("tab", "\t"), ("w", "w"), ("o", "o"), ("tab", "\t"), ("p", "p"), ("r", "r")):
            stage.send(name, character)
        await stage.until(lambda: (reason.value, typed.value) == ("wo", "pr"), "two fields")
        await stage.press("shift+tab", "x")
        assert stage.app.focused is reason

    play(act)


@pytest.mark.parametrize("keys", [("enter",), ("escape",)])
def test_enter_and_escape_in_a_fresh_dialog_cancel(play, keys):
    async def act(stage):
        await stage.press("T")
        await stage.sees("Will do")
        await stage.press(*keys)
        await stage.sees("Locks · 7")
        assert stage.desk.carried == []
        assert stage.app.done == []

    play(act)


def test_a_refusal_by_the_daemon_is_told_whole_and_changes_nothing_on_the_screen(play, scenes):
    desk = scenes.Desk()
    said = "the state changed: default/Mutex/prod-db#41 is over; it is held by deploy-api-k8x2p with default/Mutex/prod-db#42"
    desk.outcome = (scenes.OutcomeKind.REFUSED, said)

    async def act(stage):
        await confirm(stage)
        await stage.sees("Refused", "the state changed", "#42", "Nothing was changed")
        await stage.press("enter")
        await stage.sees("FAIL", "■ STUCK")

    play(act, desk=desk)


def test_an_unknown_outcome_says_that_it_may_have_been_done(play, scenes):
    desk = scenes.Desk()
    desk.outcome = (scenes.OutcomeKind.UNKNOWN, "the daemon did not answer in 30 s, and may have done it")

    async def act(stage):
        await confirm(stage)
        await stage.sees("No answer", "may have done it", "journal")

    play(act, desk=desk)


def test_a_healthy_holder_is_refused_until_alive_is_chosen_and_that_makes_a_new_plan(play, scenes):
    desk = scenes.Desk()
    desk.plan = scenes.plan_for(scenes.PROD, refused="unless --not-stuck is given: migrate-7f2qd is not stuck")

    async def act(stage):
        await stage.press("T")
        await stage.sees("Refused", "is not stuck", "it would be refused")
        assert not stage.app.screen.query_one("#reason-row").display
        desk.plan = scenes.plan_for(scenes.PROD)
        stage.app.screen.query_one("#reach").focus()
        await stage.press("enter")
        await stage.sees("a reason is needed")
        assert [asked[3] for asked in desk.asked] == [scenes.Reach.STUCK, scenes.Reach.ALIVE]

    play(act, desk=desk)


def test_of_several_holders_another_is_chosen_by_its_epoch(play, scenes):
    desk = scenes.Desk()
    desk.plan = scenes.plan_for(scenes.LOCKS[1], epoch=50, others=(51, 52, 53))

    async def act(stage):
        await stage.press("j", "T")
        await stage.sees("gpu-pool", "Other holder")
        desk.plan = scenes.plan_for(scenes.LOCKS[1], epoch=51, others=(50, 52, 53))
        stage.app.screen.query_one("#other").focus()
        await stage.press("enter")
        await stage.sees("#51")
        assert [asked[2] for asked in desk.asked] == [None, 51]

    play(act, desk=desk)


def test_a_plan_that_cannot_be_made_enables_nothing(play, scenes):
    desk = scenes.Desk()
    desk.plan = scenes.Failure(kind="missing", text="there is no lock default/Mutex/prod-db any more")

    async def act(stage):
        await stage.press("T")
        await stage.sees("there is no lock", "any more")
        assert stage.app.screen.query_one("#confirm").disabled

    play(act, desk=desk)


def test_without_a_plan_in_time_the_dialog_says_so_and_a_late_plan_still_counts(play, scenes, monkeypatch):
    monkeypatch.setattr("tui.dialogs.plan.PATIENCE_S", 0.1)
    desk = scenes.Desk()
    desk.gate = threading.Event()

    async def act(stage):
        await stage.press("T")
        await stage.sees("No plan could be made")
        assert stage.app.screen.query_one("#confirm").disabled
        desk.gate.set()
        await stage.sees("Will do")

    try:
        play(act, desk=desk)
    finally:
        desk.gate.set()


def test_terminate_from_a_waiting_run_is_about_the_lock_that_stops_it(play):
    async def act(stage):
        await stage.press("2", "T")
        await stage.sees("Will do")
        assert stage.desk.asked[0][1] == "default/Mutex/prod-db"

    play(act)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("G", "T"), "nobody holds nightly"),
        (("G", "l"), "nobody holds it"),
        (("2", "G", "X"), "has ended Failed"),
        (("2", "R"), "is Running; only a run that ended"),
        (("2", "j", "j", "j", "j", "T"), "neither holds a lock nor waits"),
        (("3", "slash", "z", "z", "enter", "T"), "no lock is chosen"),
    ],
)
def test_a_key_that_does_not_fit_says_why_and_opens_nothing(play, keys, said):
    async def act(stage):
        await stage.press(*keys)
        await stage.until(lambda: any(said in toast.message for toast in stage.app._notifications), said)
        assert len(stage.app.screen_stack) == 1

    play(act)


@pytest.mark.parametrize("keys", [("T",), ("2", "T"), ("2", "X"), ("2", "j", "j", "j", "R"), ("4", "S"), ("5", "R"), ("5", "A")])
def test_read_only_reaches_no_dialog(play, keys):
    async def act(stage):
        await stage.sees("RO alice")
        await stage.press(*keys)
        await stage.until(lambda: any("--read-only" in toast.message for toast in stage.app._notifications), "the reason")
        assert len(stage.app.screen_stack) == 1
        assert stage.desk.asked == []

    play(act, read_only=True)


OTHERS = [(("2", "X"), "Stop deploy"), (("4", "S"), "Suspend nightly"), (("5", "R"), "Sync now")]


@pytest.mark.parametrize(("keys", "said"), OTHERS)
def test_other_changes_ask_first_too(play, keys, said):
    async def act(stage):
        await stage.press(*keys)
        await stage.sees(said, "Will do")
        assert stage.app.focused.id == "cancel"
        await stage.press("enter")
        assert stage.desk.carried == []
        await stage.press(keys[-1])
        await stage.sees("Will do")
        stage.app.screen.query_one("#confirm").focus()
        await stage.press("enter")
        await stage.until(lambda: stage.desk.carried, "the request")

    play(act)


def test_offline_keeps_the_data_says_why_and_takes_no_changes_and_comes_back(play, scenes):
    script = scenes.Script()

    async def act(stage):
        script.answer = scenes.Failure(kind="busy", text="could not read state.db: database is locked; try again")
        await stage.refresh()
        await stage.sees("OFFLINE", "database is locked", "✗ offline", "■ STUCK", "prod-db")
        await stage.press("T")
        await stage.until(lambda: stage.app._notifications, "a reason")
        assert len(stage.app.screen_stack) == 1
        assert stage.desk.asked == []
        await stage.show(locks=scenes.LOCKS[:3])
        await stage.sees("● live", "Locks · 3")
        assert not stage.has("OFFLINE")
        assert any("reconnected" in toast.message for toast in stage.app._notifications)

    play(act, script=script)


@pytest.mark.parametrize(("kind", "said"), [("none", "No daemon is running"), ("hung", "does not work")])
def test_a_daemon_that_is_down_or_hangs_is_named_and_what_to_do(play, scenes, kind, said):
    async def act(stage):
        daemon = scenes.DaemonState(kind=scenes.DaemonKind(kind), text="pid 312, no answer in 2 s")
        await stage.show(daemon=daemon)
        await stage.sees(said, "lineclear", "■ STUCK")

    play(act)


def test_another_database_forgets_what_was_known_of_the_first(play, scenes):
    async def act(stage):
        await stage.sees("NEXT IN LINE")
        before = dict(stage.app.details)
        await stage.show(instance="two")
        await stage.sees("NEXT IN LINE")
        assert all(stage.app.details.get(target) is not detail for target, detail in before.items())

    play(act)


def test_one_change_of_a_target_at_a_time(play, scenes):
    desk = scenes.Desk()
    slow = threading.Event()
    real = desk.carry_out

    def wait_first(plan, reason, confirmation):
        slow.wait(20)
        return real(plan, reason, confirmation)

    desk.carry_out = wait_first

    async def act(stage):
        await confirm(stage)
        await stage.until(lambda: stage.app.done and stage.app.done[0].ok is None, "a change under way")
        await confirm(stage)
        await stage.until(lambda: any("is under way" in toast.message for toast in stage.app._notifications), "the refusal")
        slow.set()
        await stage.until(lambda: desk.carried, "the first")
        await stage.rest()
        assert len(desk.carried) == 1

    try:
        play(act, desk=desk)
    finally:
        slow.set()


def test_of_two_changes_under_way_each_ends_in_its_own_line(play, scenes):
    desk, gates = scenes.Desk(), {}
    real = desk.carry_out

    def wait(plan, reason, confirmation):
        gates.setdefault(plan.target, threading.Event()).wait(20)
        outcome = real(plan, reason, confirmation)
        return scenes.replace(outcome, text=f"done to {plan.target}", command=f"{outcome.command} --home /srv/two")

    desk.carry_out = wait

    async def stop(stage):
        await stage.press("X")
        await stage.sees("Will do")
        stage.app.screen.query_one("#confirm").focus()
        await stage.press("enter")

    def told(stage):
        return [(done.ok, done.text.partition(": ")[2] or done.text) for done in stage.app.done]

    async def act(stage):
        await stage.press("2")
        await stop(stage)
        await stage.press("j")
        await stop(stage)
        await stage.until(lambda: len(gates) == 2, "two changes under way")
        assert told(stage) == [(None, "under way"), (None, "under way")]
        first, second = gates
        gates[first].set()
        await stage.until(lambda: told(stage) == [(None, "under way"), (True, f"done to {first}")], "the first at its end")
        gates[second].set()
        await stage.until(lambda: told(stage) == [(True, f"done to {second}"), (True, f"done to {first}")], "both at their ends")

    try:
        play(act, desk=desk)
    finally:
        for gate in gates.values():
            gate.set()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("pr\x1b]2;PWNED\x07od", "pr\\x1b]2;PWNED\\x07od#41"),
        ("user\u202egnp", "user\\u202egnp#41"),
        ("two\nlines", "two\\nlines#41"),
        ("n" * 1200 + "\x1b", "n" * 1200 + "\\x1b#41"),
    ],
)
def test_a_lock_whose_name_holds_control_characters_is_confirmed_by_what_is_shown_of_it(play, scenes, name, shown):
    desk = scenes.Desk()
    key = f"default/Mutex/{name}"
    desk.plan = scenes.replace(desk.plan, lock=key, confirmation=f"{key}#41")

    async def act(stage):
        await stage.press("T")
        await stage.sees("a reason is needed")
        dialog = stage.app.screen
        box = dialog.query_one("#typed")
        assert box.placeholder == shown
        dialog.query_one("#reason").value = REASON
        for typed, fits in ((shown[:-1], False), (f"default/Mutex/{shown}", True), (f"{name}#41", True)):
            box.value = ""
            box.insert_text_at_cursor(typed)
            await stage.until(lambda fits=fits: dialog.query_one("#confirm").disabled is not fits, typed)
        box.value = shown[:-1]
        box.focus()
        await stage.press("end")
        await stage.type("1")
        await stage.until(lambda: not dialog.query_one("#confirm").disabled, shown)
        dialog.query_one("#confirm").focus()
        await stage.press("enter")
        await stage.until(lambda: desk.carried, "the request")
        assert desk.carried[0][2] == f"{key}#41"

    play(act, desk=desk)


def test_marks_of_rows_do_not_widen_what_a_dialog_acts_on(play):
    async def act(stage):
        await stage.press("space", "space", "g", "T")
        await stage.sees("Will do")
        assert [asked[1] for asked in stage.desk.asked] == ["default/Mutex/prod-db"]

    play(act)


def test_the_dialog_acts_on_what_it_was_opened_for_even_if_the_list_moves_meanwhile(play, scenes):
    async def act(stage):
        await stage.press("T")
        await stage.sees("Will do")
        await stage.show(locks=tuple(reversed(scenes.LOCKS)))
        stage.app.screen.query_one("#reason").focus()
        await stage.type(REASON)
        await stage.press("enter")
        await stage.type("prod-db#41")
        stage.app.screen.query_one("#confirm").focus()
        await stage.press("enter")
        await stage.until(lambda: stage.desk.carried, "the request")
        assert stage.desk.carried[0][0].lock == "default/Mutex/prod-db"

    play(act)


def test_enter_pressed_twice_in_haste_on_cancel_leaves_the_room_where_it_is(play):
    async def act(stage):
        await stage.press("T")
        await stage.sees("Will do")
        dialog = stage.app.screen
        dialog.action_cancel()
        dialog.action_cancel()
        await stage.sees("Locks · 7")
        assert len(stage.app.screen_stack) == 1

    play(act)


def test_tab_goes_from_cancel_to_the_reason_and_on_to_what_confirms(play):
    async def act(stage):
        await stage.press("T")
        await stage.sees("Will do")
        await stage.press("tab")
        assert stage.app.focused.id == "reason"
        await stage.type(REASON)
        await stage.press("tab")
        assert stage.app.focused.id == "typed"
        await stage.type("prod-db#41")
        await stage.press("tab", "tab")
        assert stage.app.focused.id == "confirm"

    play(act)


@pytest.mark.parametrize("part", ["refresh_rows", "show_frame", "tick"])
def test_a_part_of_a_room_that_fails_is_told_once_and_takes_nothing_with_it(play, monkeypatch, part):
    async def act(stage):
        def fail(*_args, **_more):
            raise KeyError("a bug")

        monkeypatch.setattr(type(stage.app.room()), part, fail)
        stage.app.room().show_all()
        stage.app._tick()
        await stage.sees("cannot be shown", "KeyError", "the rest goes on")
        await stage.press("2")
        await stage.sees("RUN")

    play(act)


def test_a_pane_that_cannot_be_drawn_says_so_in_its_place(play, monkeypatch):
    from tui.widgets.vtable import VirtualTable

    def fail(_self, _y):
        raise ValueError("a bug")

    async def act(stage):
        monkeypatch.setattr(VirtualTable, "render_line", fail)
        await stage.refresh()
        stage.app.screen.refresh(repaint=True, layout=True)
        await stage.sees("this part cannot be shown: ValueError", "NEXT IN LINE")

    play(act)


def test_a_reader_that_breaks_is_told_and_tried_again(play, scenes, monkeypatch):
    script = scenes.Script()
    whole, broken = script.poll, []

    def poll(since=None):
        if len(broken) == 1:
            broken.append("told")
            raise RuntimeError("a bug")
        return whole(since)

    monkeypatch.setattr(script, "poll", poll)

    async def act(stage):
        broken.append("next")
        stage.app.do_refresh()
        await stage.sees("OFFLINE", "RuntimeError: a bug", "prod-db")
        await stage.refresh()
        await stage.sees("live", "prod-db")

    play(act, script=script)
