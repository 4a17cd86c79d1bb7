"""`run`: one manifest to its end in a private home, without a daemon."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

from reconciler.cli.context import say
from reconciler.errors import LineclearError, NotFound, TimedOut, Transient, UsageError
from reconciler.home import Home
from reconciler.store.unknown import HOLDER_UNKNOWN
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from types import FrameType

    from reconciler.cli.options import Args, Parser
    from reconciler.guard import Guard
    from reconciler.oneshot import Job, OneShot
    from reconciler.settings import Settings
    from reconciler.store.read import Reader

_PRIVATE = "Its locks are private: no other run waits for them, and they wait for no other."
_GIVE_UP_AFTER_S = 10.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


def configure(parser: Parser) -> None:
    """Adds the options of `run`."""
    parser.positional("FILE", "1", "the manifest; its first Workflow is run, else its first template or CronWorkflow")
    parser.option("--with", metavar="FILE", text="a file with what the manifest refers to; may be repeated", many=True)
    parser.option("-p", "--parameter", metavar="NAME=VALUE", text="a parameter of the run; may be repeated", many=True)
    parser.option("--limit", metavar="KEY=N", text="the limit of a database semaphore; may be repeated", many=True)
    parser.option("--parameter-file", metavar="FILE", text="parameters as a YAML or JSON map; -p comes before it")
    parser.option("--entrypoint", metavar="TEMPLATE", text="another template to begin with")
    parser.option("--name", metavar="NAME", text="the run's name")
    parser.option("--settings", metavar="FILE", text="settings to go by, such as an image map; the home's are not used")
    parser.option("--timeout", metavar="SECONDS", text="terminate the run then, and exit with 6")
    parser.option("--keep", metavar="DIR", text="make the private home there, and leave it; by default it is removed")
    parser.option("-o", "--output", metavar="FORMAT", text="json: the finished run, and nothing else on standard output")
    parser.flag("--log", text="print what the steps write")
    parser.note("Ctrl-C stops the run, so that its exit handler runs; a second one terminates it.")
    parser.note("Exit code: 0 Succeeded, 1 Failed or Error, 2 an error in a manifest, 6 timed out.")


def run(args: Args) -> int:
    """Runs the manifest; the exit code that its phase makes."""
    from reconciler.guard import Guard, HomeNotMade

    if args.given("output") and args.text("output") != "json":
        raise UsageError(f"-o is json here, not {args.text('output')!r}; without it the run's progress is shown")
    timeout_s = _timeout(args)
    files = [(path, _read(path)) for path in (args.text("FILE"), *args.many("with"))]
    os.umask(0o077)
    home = _make_home(args)
    guard = Guard(home, keep=args.given("keep"))
    keep = args.given("keep")
    try:
        return _run(args, home, files, timeout_s, guard)
    except BrokenPipeError as error:  # no reader that left: standard output and standard error do not raise it here
        raise Transient(f"could not go on with the run: {error.strerror}; run it again") from error
    except HomeNotMade:
        keep = False
        raise
    finally:
        guard.release()
        _leave(home, keep=keep)


def _timeout(args: Args) -> float | None:
    if not args.given("timeout"):
        return None
    try:
        seconds = float(args.text("timeout").removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"--timeout wants a number of seconds, 0 or more, not {args.text('timeout')!r}")
    return seconds


def _read(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror}; name a file, or `-` for standard input") from error


def _make_home(args: Args) -> Home:
    """A new folder, owner only."""
    from reconciler.guard import HomeNotMade

    if not args.given("keep"):
        parent = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the name cannot be guessed, and mkdir takes no folder that is there
        home = Home(os.path.join(parent, f"lineclear-run-{os.urandom(8).hex()}"))
        try:
            os.mkdir(home.root, 0o700)
        except OSError as error:
            raise HomeNotMade(home, error) from error
        return home
    home = Home(args.text("keep"))
    try:
        os.makedirs(home.root, mode=0o700, exist_ok=True)
        is_used = bool(os.listdir(home.root))
    except OSError as error:
        if error.errno in _FULL:
            raise HomeNotMade(home, error) from error
        raise UsageError(f"could not make the home {home.root}: {error.strerror}; name a folder that can be made") from error
    if is_used:
        raise UsageError(f"could not run in {home.root}: it is not empty, and a run makes its home anew; name another folder")
    return home


def _leave(home: Home, *, keep: bool) -> None:
    if keep:
        say(f"The home is kept: lineclear --home {home.root} get @latest")
        return
    from shutil import rmtree

    rmtree(home.root, ignore_errors=True)


def _settings(args: Args, home: Home) -> Settings:
    """Those of --settings, which are copied into the home for the commands that look at it; else the defaults."""
    from reconciler.settings import Settings, parse

    if not args.given("settings"):
        return Settings()
    text = _read(args.text("settings")).decode("utf-8", "replace")
    found = parse(text, args.text("settings"))
    try:
        with open(home.settings, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        from reconciler.guard import HomeNotMade

        raise HomeNotMade(home, error) from error
    return found


def _job(args: Args, files: list[tuple[str, bytes]]) -> Job:
    from reconciler.cli.asking import pairs
    from reconciler.oneshot import Job, read_parameters

    given: dict[str, str] = {}
    if args.given("parameter-file"):
        path = args.text("parameter-file")
        given = read_parameters(path, _read(path))
    return Job(
        files=files,
        parameters={**given, **pairs(args, "parameter")},
        limits={key: _whole(key, text) for key, text in pairs(args, "limit").items()},
        entrypoint=args.text("entrypoint"),
        name=args.text("name"),
        namespace=args.text("namespace"),
    )


def _whole(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"--limit {key}={text}: it is a whole number from 0 on")
    return int(text)


def _run(args: Args, home: Home, files: list[tuple[str, bytes]], timeout_s: float | None, guard: Guard) -> int:
    settings = _settings(args, home)
    job = _job(args, files)
    from reconciler.model.images import Images
    from reconciler.oneshot import OneShot, PrivateHome, load_job

    images = Images(mapped=settings.images, mapped_only=settings.image_policy == "mapped-only")
    loaded = load_job(job, images)
    for finding in loaded.findings:
        say(clean(str(finding)))
    if loaded.errors:
        return UsageError.exit_code
    say(_PRIVATE)
    path = args.text("FILE")
    folder = os.getcwd() if path == "-" else os.path.dirname(os.path.realpath(path))
    with OneShot(PrivateHome(home.root, folder), settings, tell=say, kill=guard.end) as shot:
        shot.begin(job, loaded)
        return _Watch(args, home, shot).follow(timeout_s)


class _Watch:
    """Follows one run: steps the engine, shows what changed, passes signals on."""

    def __init__(self, args: Args, home: Home, shot: OneShot) -> None:
        from reconciler.cli.run_display import display_of
        from reconciler.cli.snapshot import Snapshot
        from reconciler.store.read import open_read

        self._shot = shot
        self._home = home
        self._reader: Reader = open_read(home.database, kind=Snapshot)
        self._display = display_of(args, home, shot.run_id)
        self._version = -1
        self._row: Row | None = None
        self._signals = 0
        self._wanted = ""
        self._asked = ""
        self._asked_at = 0.0
        self._told_suspended = False
        shot.trouble.tell = self._display.say
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means that it goes on
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number != signal.SIGHUP:
            self._signals += 1
        elif not self._signals:  # a terminal that goes away sends more than one: they are no second Ctrl-C
            self._signals = 1
        self._wanted = "terminate" if number == signal.SIGTERM or self._signals > 1 else self._wanted or "stop"
        self._shot.wake()

    def follow(self, timeout_s: float | None) -> int:
        """Until the run has ended; the exit code. Raises TimedOut when it had to be terminated."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        late: TimedOut | None = None
        while not self._look():
            if deadline is not None and time.monotonic() >= deadline:
                late, deadline = TimedOut(f"it had not ended after {timeout_s:g} s; --timeout gives it longer"), None
                self._ask("terminate")
            elif self._wanted:
                self._ask(self._wanted)
            self._refuse_unknown()
            if self._is_hopeless(self._signals + (late is not None)):
                self._give_up(late)
            waits = [self._display.pause_s]
            if deadline is not None:
                waits.append(max(0.0, deadline - time.monotonic()))
            self._shot.step(min(waits))
        phase = self._end()
        self._reader.close()
        if late is not None:
            raise TimedOut(f"the run was terminated: {late}")
        return 0 if phase == "Succeeded" else 1

    def _ask(self, verb: str) -> None:
        if self._asked in (verb, "terminate"):
            return
        self._asked_at = self._asked_at or time.monotonic()
        self._asked = verb
        said = {
            "stop": "Stopping: exit handlers run; again to terminate.",
            "terminate": f"Terminating: steps are ended, and killed after {self._shot.grace_s:g} s at most.",
        }
        self._display.say(said[verb])
        self._shot.ask(verb)

    def _is_hopeless(self, wishes: int) -> bool:
        """True if the store takes nothing although the run is to end, and somebody has asked twice or waited long enough."""
        since = self._shot.refused_at
        if since is None or not self._asked:
            return False
        return wishes > 1 or time.monotonic() >= max(since, self._asked_at) + _GIVE_UP_AFTER_S

    def _refuse_unknown(self) -> None:
        """Raises LineclearError once nothing can tell how a step ended: nobody is there to be asked, and the home is private."""
        message = "" if self._row is None else str(self._row["message"])
        if message.startswith(HOLDER_UNKNOWN):
            self._shot.abandon()
            self._reader.close()
            name = "" if self._row is None else self._row["name"]
            raise LineclearError(
                f"could not tell how {name} ended: {message}; what could be found of it was killed; look for what may be left"
            )

    def _give_up(self, late: TimedOut | None) -> None:
        self._shot.abandon()
        self._reader.close()
        where = f"its steps were killed; make room in {self._home.root}"
        text = f"could not end the run in order: {self._shot.trouble.reason}; {where}"
        raise TimedOut(f"{text}; {late}") if late is not None else LineclearError(text)

    def _look(self) -> bool:
        """Shows what is new; True once the run has ended, or was removed the moment it did."""
        from reconciler.store import read_runs

        version = self._reader.data_version()
        if version != self._version:
            self._version = version
            with self._reader as reader:
                self._row = read_runs.find_run_by_id(reader, self._shot.run_id)
                nodes = read_runs.list_nodes(reader, self._shot.run_id)
            if self._row is not None:
                self._display.show(self._reader, self._row, nodes)
                self._tell_suspended(self._row, nodes)
        self._display.tick(self._reader)
        return self._row is None or self._row["finished_at"] is not None

    def _tell_suspended(self, row: Row, nodes: list[Row]) -> None:
        from reconciler.views.progress import waits_for_person

        is_suspended = waits_for_person(row, nodes)
        if is_suspended and not self._told_suspended:
            self._display.say(f"It waits for a person: lineclear --home {self._home.root} resume {row['name']}")
        self._told_suspended = is_suspended

    def _end(self) -> str:
        """Shows the end; the phase that the run reached."""
        if self._row is None:
            return self._removed()
        self._display.close(self._reader, self._row)
        return str(self._row["phase"])

    def _removed(self) -> str:
        """The phase of a run that its own ttlStrategy or history limit removed as soon as it had ended."""
        import json

        from reconciler.store import read_rest

        wanted = read_rest.JournalFilter()
        for line in read_rest.list_journal(self._reader, wanted, 0, 1_000_000):
            if line["kind"] == "run.finished":
                phase = str(json.loads(line["detail_json"])["phase"])
                say(f"{line['run']} {phase}; it is set to be removed as soon as it has ended, so there is no more to show")
                return phase
        raise NotFound("the run was removed while it was followed")
