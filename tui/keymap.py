"""The one table of actions: id, keys, words. Bindings, the foot of each screen, `?` and the reference page are made from it.

Strings only; no Textual. Uppercase letters change something and always open a dialog first; nothing needs ctrl.
"""

from __future__ import annotations

from dataclasses import dataclass

ANY = "any"
LOCKS, LOCK, RUNS, RUN, QUEUES, CRONS, GIT, JOURNAL = "locks", "lock", "runs", "run", "queues", "crons", "git", "journal"
ROOMS: tuple[tuple[str, str], ...] = (
    (LOCKS, "Locks"),
    (RUNS, "Runs"),
    (QUEUES, "Queues"),
    (CRONS, "Cron"),
    (GIT, "Git"),
    (JOURNAL, "Journal"),
)
LISTS = (LOCKS, LOCK, RUNS, RUN, QUEUES, CRONS, GIT, JOURNAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do. `keys` are Textual's names, `shown` is how they are written; `where` are the rooms that have it."""

    id: str
    keys: tuple[str, ...]
    shown: str
    title: str
    text: str
    where: tuple[str, ...] = (ANY,)
    changes: bool = False
    foot: bool = False


ACTIONS: tuple[Action, ...] = (
    Action(id="open", keys=("enter",), shown="enter", title="Open", text="open what is under the cursor",
           where=(LOCKS, LOCK, RUNS, RUN, QUEUES, CRONS, JOURNAL), foot=True),
    Action(id="filter", keys=("slash",), shown="/", title="Filter",
           text="filter the list, or the logs of a run; the last filter is offered again", foot=True),
    Action(id="terminate", keys=("T",), shown="T", title="Terminate holder…", where=(LOCKS, LOCK, RUNS, RUN, QUEUES),
           text="terminate the holder of the lock, or of the lock that the run waits for; shows the plan, asks for a reason",
           changes=True, foot=True),
    Action(id="retry", keys=("R",), shown="R", title="Retry…", where=(RUNS, RUN),
           text="try the failed steps of the run again", changes=True, foot=True),
    Action(id="sync", keys=("R",), shown="R", title="Sync now…", where=(GIT,),
           text="read the branch and apply its head now", changes=True, foot=True),
    Action(id="cancel", keys=("X",), shown="X", title="Stop run…", where=(RUNS, RUN, QUEUES),
           text="stop the run: its steps end, its exit handlers run; one that waits leaves the queue", changes=True, foot=True),
    Action(id="suspend", keys=("S",), shown="S", title="Suspend/resume…", where=(CRONS,),
           text="suspend the cron, or resume it", changes=True, foot=True),
    Action(id="approve", keys=("A",), shown="A", title="Approve…", where=(GIT,),
           text="approve a held revision", changes=True, foot=True),
    Action(id="logs", keys=("l",), shown="l", title="Logs", where=(LOCKS, LOCK, RUNS, RUN, QUEUES),
           text="the logs of the run, or of the lock's holder", foot=True),
    Action(id="why", keys=("w",), shown="w", title="Why", where=(LOCKS, LOCK, RUNS, RUN, QUEUES),
           text="why the run under the cursor waits; on a lock, the first in its queue", foot=True),
    Action(id="follow", keys=("f",), shown="f", title="Follow", where=(RUN,), text="follow the end of the logs, or stay",
           foot=True),
    Action(id="zoom", keys=("plus",), shown="+", title="Zoom", where=(RUN, LOCK), text="the focused pane alone, or all panes"),
    Action(id="fold", keys=("space",), shown="space", title="Fold", where=(RUN,), text="fold or unfold a node of the tree"),
    Action(id="mark", keys=("space",), shown="space", title="Mark", where=(LOCKS, RUNS),
           text="mark the row, or take the mark away"),
    Action(id="sort", keys=("o",), shown="o", title="Sort", where=(LOCKS, LOCK, RUNS, QUEUES, CRONS, JOURNAL),
           text="sort by the next column; the last press restores the order of urgency", foot=True),
    Action(id="copy", keys=("c",), shown="c", title="Copy", text="copy the name under the cursor to the terminal's clipboard"),
    Action(id="command", keys=("Y",), shown="Y", title="Copy command",
           text="copy the command line that shows or does the same"),
    Action(id="freeze", keys=("z",), shown="z", title="Freeze", text="hold what is shown still, or let it move again"),
    Action(id="refresh", keys=("r",), shown="r", title="Refresh", text="read again at once"),
    Action(id="mouse", keys=("percent_sign",), shown="%", title="Mouse",
           text="give the mouse to the terminal, to select text with it, or take it back"),
    Action(id="next", keys=("n",), shown="n", title="Next", where=(RUN,), text="next line of the logs with the filter's text"),
    Action(id="previous", keys=("N",), shown="N", title="Previous", where=(RUN,), text="the one before it"),
    Action(id="theme", keys=("t",), shown="t", title="Theme", text="dark, light, or the terminal's own colours"),
    Action(id="palette", keys=("colon", "ctrl+p"), shown=":", title="Go to",
           text="go to a room, lock or run, or do something, by its name", foot=True),
    Action(id="help", keys=("question_mark",), shown="?", title="Help", text="the keys of this screen", foot=True),
    Action(id="back", keys=("escape",), shown="esc", title="Back", text="up: clear the filter, leave a page", foot=True),
    Action(id="quit", keys=("q",), shown="q", title="Quit", text="leave a page; in a room, leave the screen", foot=True),
    Action(id="down", keys=("j", "down"), shown="j ↓", title="Down", text="down"),
    Action(id="up", keys=("k", "up"), shown="k ↑", title="Up", text="up"),
    Action(id="first", keys=("g", "home"), shown="g", title="First", text="to the first row"),
    Action(id="last", keys=("G", "end"), shown="G", title="Last", text="to the last row"),
    Action(id="page_down", keys=("pagedown", "ctrl+f"), shown="pgdn", title="Page down", text="a page down"),
    Action(id="page_up", keys=("pageup", "ctrl+b"), shown="pgup", title="Page up", text="a page up"),
    Action(id="left", keys=("h", "left"), shown="h ←", title="Left", where=(RUN,), text="to the start of long log lines"),
    Action(id="right", keys=("right",), shown="→", title="Right", where=(RUN,), text="to the end of long log lines"),
    Action(id="focus", keys=("tab",), shown="tab", title="Next pane", where=(RUN, LOCK), text="to the next pane"),
    *(
        Action(id=f"room-{room}", keys=(str(number),), shown=str(number), title=title, text=f"the room {title}")
        for number, (room, title) in enumerate(ROOMS, 1)
    ),
)  # fmt: skip


def actions_of(room: str) -> tuple[Action, ...]:
    """The actions that a room has, in the table's order."""
    return tuple(action for action in ACTIONS if ANY in action.where or room in action.where)


def find_action(name: str) -> Action | None:
    """The action with that id, or None."""
    return next((action for action in ACTIONS if action.id == name), None)


def reference() -> str:
    """The table of keys as the reference page prints it, in Markdown."""
    titles = dict(ROOMS) | {LOCK: "one lock", RUN: "one run"}
    lines = ["| key | does | where |", "| --- | --- | --- |"]
    for action in ACTIONS:
        where = "everywhere" if ANY in action.where else ", ".join(titles[room] for room in action.where)
        key = " ".join(f"`{key}`" for key in action.shown.split(" "))
        more = " (a change: opens a dialog)" if action.changes else ""
        lines.append(f"| {key} | {action.text}{more} | {where} |")
    return "\n".join(lines) + "\n"
