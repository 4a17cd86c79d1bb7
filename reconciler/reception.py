"""Takes requests on the peers' threads: checks pushes, parses what is submitted, and hands the rest to the control thread.

Whatever is slow or may block happens here; the control thread gets values. Nothing is written here.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler import __version__
from reconciler.control.server import Peer, Reply
from reconciler.errors import ManifestError, Transient, UsageError
from reconciler.home import Home
from reconciler.lint import lint_files
from reconciler.loop.inbox import Inbox, Look, Ping, Pushed, Request
from reconciler.manifest import parse_file
from reconciler.model.images import Images
from reconciler.model.source import PushVerdict
from reconciler.model.spec import Document, ParsedFile, Severity
from reconciler.obs import Tally
from reconciler.source.check import Lookup, PushRequest, check_push, decode_request, give_up
from reconciler.source.offline import TreeLookup
from reconciler.source.parsing import FILE_LIMIT_BYTES, log_mistakes
from reconciler.source.receipts import write_receipt
from reconciler.source.repository import Repository
from reconciler.store.lookup import LiveDefinitions, StoreLookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.messenger import Command

PING_S = 1.0
LENIENT = ("receive.lineclear=warn",)
VALUE_MAY_COME = "LC410"  # a parameter without a value: submission decides, when it has the values that were given with it


@dataclass(frozen=True, slots=True, kw_only=True)
class PushBounds:
    """How many documents one push may bring, and how long its check may take."""

    documents: int
    check_s: float


class Reception:
    """Serves the control socket's verbs. `down` is called with the mode of a request to end the daemon.

    `command` is the one that is told of events, None if nobody is.
    """

    def __init__(  # noqa: PLR0913 - the composition root fills it once
        self,
        home: Home,
        inbox: Inbox,
        repository: Repository,
        branch: str,
        *,
        images: Images,
        lenient: bool,
        down: Callable[[str], str],
        tally: Tally,
        command: Command | None,
        doing: Callable[[], str],
        bounds: PushBounds,
    ) -> None:
        self._home = home
        self._inbox = inbox
        self._repository = repository
        self._branch = branch
        self._images = images
        self._options = LENIENT if lenient else ()
        self._down = down
        self._lookup = StoreLookup(home.database)
        self._git = threading.Lock()  # one repository object, one thread at a time
        self._parsing = threading.Lock()  # what is parsed takes many times its size: one request at a time
        self._tally = tally
        self._command = command
        self._doing = doing
        self._bounds = bounds

    def serve(self, verb: str, args: Mapping[str, Any], peer: Peer, reply: Reply) -> None:
        """Answers at once where that is possible; otherwise the control thread answers after its commit."""
        try:
            self._serve(verb, args, peer, reply)
        except sqlite3.Error as error:
            raise Transient(f"the store could not be read: {error}; try again") from error

    def _serve(self, verb: str, args: Mapping[str, Any], peer: Peer, reply: Reply) -> None:
        match verb:
            case "poke":
                self._inbox.put(Look())
            case "ping":
                reply({"ok": self._ping()})
            case "check":
                self._check(args, peer, reply)
            case "pushed":
                self._pushed(args, reply)
            case "sync_now":
                self._sync_now(reply)
            case "notify_test":
                reply({"ok": self._notify_test()})
            case "down":
                reply({"ok": {"message": self._down(str(args.get("mode") or ""))}})
            case "submit" if args.get("files"):
                self._inbox.put(Request(verb, {**args, "documents": self._parse(args)}, peer.actor, reply))
            case _:
                self._inbox.put(Request(verb, args, peer.actor, reply))

    def _ping(self) -> dict[str, Any]:
        answered = threading.Event()
        self._inbox.put(Ping(answered.set))
        ticks = answered.wait(PING_S)
        ticked = {"ticked_s_ago": 0.0 if ticks else None, "doing": "" if ticks else self._doing()}
        return {"pid": os.getpid(), "version": __version__, "home": self._home.root, **ticked}

    def _notify_test(self) -> dict[str, Any]:
        """What comes of a test event; the control thread has nothing to do with it."""
        if self._command is None:
            raise UsageError("the daemon has nobody to tell: it read the settings at its start, and notify.command was empty")
        from reconciler.messenger import try_out

        return try_out(self._command, self._home.root)

    def _parse(self, args: Mapping[str, Any]) -> list[Document]:
        """The documents of the files handed in; raises ManifestError with every error, each with its place."""
        with self._parsing:
            files = [_read(str(file["path"]), str(file["text"]).encode()) for file in args["files"]]
            findings = [finding for file in files for finding in file.findings]
            findings += lint_files(files, LiveDefinitions(self._lookup), images=self._images)
            log_mistakes(findings)
        errors = [f for f in findings if f.severity is Severity.ERROR and f.rule != VALUE_MAY_COME]
        if errors:
            raise ManifestError("\n".join(str(error) for error in errors))
        return [document for file in files for document in file.documents]

    def _check(self, args: Mapping[str, Any], peer: Peer, reply: Reply) -> None:
        request = decode_request(args)
        request = replace(request, options=(*request.options, *self._options))
        verdict = self._verdict_in_time(request)
        if not verdict.accepted:
            self._tally.add_refusal_for("push")
        write_receipt(self._home.root, verdict, peer.actor)
        for line in verdict.lines:
            reply({"say": line})
        reply({"exit": 0 if verdict.accepted else 1})

    def _verdict_in_time(self, request: PushRequest) -> PushVerdict:
        """The verdict, or that its check was given up: nobody waits for it longer than the setting says."""
        found: list[PushVerdict | Exception] = []

        def check() -> None:
            try:
                with self._git:
                    found.append(self._verdict(request))
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                found.append(error)

        worker = threading.Thread(target=check, name="check", daemon=True)
        worker.start()
        worker.join(self._bounds.check_s)
        if not found:
            reason = f"its check takes longer than {self._bounds.check_s:g} s (the setting limits.check_s); split it"
            return give_up(self._repository, request, branch=self._branch, reason=reason)
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def _verdict(self, request: PushRequest) -> PushVerdict:
        return check_push(
            self._repository,
            request,
            self._lookup_for(request),
            branch=self._branch,
            images=self._images,
            most_documents=self._bounds.documents,
        )

    def _lookup_for(self, request: PushRequest) -> Lookup:
        """The rows, or the tree that the push changes where that is not live: held for approval, or not applied yet."""
        for update in request.updates:
            if update.ref == f"refs/heads/{self._branch}" and not update.is_creation and not self._lookup.is_current(update.old):
                return TreeLookup(self._repository, update.old)
        return self._lookup

    def _pushed(self, args: Mapping[str, Any], reply: Reply) -> None:
        """Says what came of the push, once the control thread has applied it; the hook itself gives up after its own time."""
        updates = decode_request(args).updates
        heads = [u.new for u in updates if u.ref == f"refs/heads/{self._branch}" and not u.is_deletion]
        if not heads:
            self._inbox.put(Look())
            reply({"exit": 0})
            return

        def told(answer: Mapping[str, Any]) -> None:
            for line in answer.get("lines", ()):
                reply({"say": line})
            reply({"exit": 0})

        self._inbox.put(Pushed(heads[-1], told))

    def _sync_now(self, reply: Reply) -> None:
        with self._git:
            head = self._repository.resolve(self._branch)
        if head is None:
            raise UsageError(f"branch {self._branch} does not exist: push it; what was applied last stays live")

        def told(answer: Mapping[str, Any]) -> None:
            error = answer.get("error")
            live, state = answer.get("live") or "", answer.get("state", "")
            ok = {"head": head, "applied": live, "state": state, "lines": list(answer.get("lines", ()))}
            reply({"error": error} if error else {"ok": ok})

        self._inbox.put(Pushed(head, told))


def _read(path: str, data: bytes) -> ParsedFile:
    """A file that was handed in, under the limit that one in Git has. Raises ManifestError if it is larger."""
    if len(data) > FILE_LIMIT_BYTES:
        raise ManifestError(f"{path}: {len(data)} bytes are over the limit of {FILE_LIMIT_BYTES} for one file; split it")
    return parse_file(path, "", data, held_before=True)
