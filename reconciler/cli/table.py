"""Which commands there are: name -> (module, one line for the overview). Strings only, so that nothing is imported early."""

from __future__ import annotations

GROUPS: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    (
        "Look",
        {
            "get": ("look", "show a run, or list and show runs, crons, templates, ConfigMaps"),
            "list": ("list_runs", "list runs"),
            "logs": ("logs", "print what the steps of a run wrote"),
            "why": ("why", "say why a run is waiting, for whom, and what will release it"),
            "wait": ("wait", "wait for runs to end"),
            "locks": ("locks", "list locks, or show one with holders and queue"),
            "infra": ("infra", "show where deployments went, who deploys there and who waits"),
            "constraints": ("constraints", "show resource constraints, their units and who waits for some"),
            "journal": ("journal", "print the record of what happened"),
            "tui": ("tui", "the operator's screen: locks, queues, runs, Git, journal"),
        },
    ),
    (
        "Act on runs",
        {
            "run": ("run", "run one manifest to its end in a private home"),
            "submit": ("submit", "submit manifests, or a run of a template or cron"),
            "stop": ("end", "stop runs: steps end, exit handlers run"),
            "terminate": ("end", "end runs at once; a failed run lets its locks go"),
            "suspend": ("pause", "let nothing more of runs begin"),
            "resume": ("pause", "let suspended runs, or their suspend nodes, go on"),
            "node": ("node", "supply what a suspend node waits for, or end it"),
            "retry": ("again", "try the failed steps of a run again"),
            "resubmit": ("again", "submit a run once more as a new one"),
            "delete": ("delete", "delete runs and what they wrote"),
            "limit": ("limit", "set and show the limits of database semaphores"),
            "hold": ("hold", "keep locks for maintenance, for a time, when their turn comes"),
            "unhold": ("unhold", "end a maintenance hold, or open a lock whose holder was let go without proof"),
            "terminate-stuck-holder": ("stuck", "end the holder of a stuck lock and let the next run go on"),
        },
    ),
    (
        "Crons and Git",
        {
            "cron": ("cron", "list and show crons and their ticks; suspend, resume, trigger, reset"),
            "sync": ("sync", "show what was applied from Git; apply now; approve a held revision"),
            "plan": ("plan", "say what a commit or folder would do if it were pushed"),
            "lint": ("lint", "check manifests without a daemon"),
        },
    ),
    (
        "The installation",
        {
            "init": ("init", "make a home: repository, settings, systemd unit"),
            "serve": ("serve", "run the daemon in the foreground"),
            "up": ("up", "start the daemon in the background"),
            "down": ("down", "end the daemon; steps go on"),
            "completion": ("completion", "print the completion script of a shell"),
            "fsck": ("fsck", "check that the rows agree with each other, and with the steps"),
            "notify": ("notify", "show what people were told, and whether telling them works"),
            "settings": ("show_settings", "print every setting with its value and origin"),
        },
    ),
)
COMMANDS: dict[str, tuple[str, str]] = {name: entry for _, group in GROUPS for name, entry in group.items()}
