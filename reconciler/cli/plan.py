"""`plan`: what a commit or a folder would do if it were pushed. Reads the rows and Git; touches nothing, needs no daemon."""

from __future__ import annotations

import os
import sys

from reconciler.cli.context import home_of, say
from reconciler.cli.output import format_of, print_object
from reconciler.errors import Refused, UsageError
from reconciler.views.clean import clean
from reconciler.views.whole import check_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.home import Home
    from reconciler.model.images import Images
    from reconciler.model.source import PushVerdict, Revision
    from reconciler.model.spec import Finding
    from reconciler.settings import Settings
    from reconciler.source.candidate import Candidate
    from reconciler.source.repository import Repository
    from reconciler.store.writer import Writer
    from reconciler.views.plan import Plan

    Tell = Callable[[PushVerdict], None]


def configure(parser: Parser) -> None:
    """Adds the options of `plan`."""
    parser.positional("WHAT", "?", "a commit or a folder; default HEAD of the clone you are in, else the home's own branch")
    parser.option("-o", "--output", metavar="FORMAT", text="table | json | yaml | jsonpath=TEMPLATE")
    parser.note(
        "A commit may be of the clone you are in or of the home's repository. A folder stands for the whole tree: its files as\n"
        "they are. Exit code 2 if the push would be refused or a run rejected, 4 if it would be held, as it removes very\n"
        "much, or if a concurrency policy forbids a run."
    )


def run(args: Args) -> int:
    """Prints the plan; 0, 2 if something in it is refused, 4 if it would be held or a policy forbids a run of it."""
    shape, home = format_of(args), home_of(args)
    if shape == "name":
        raise UsageError("plan has no -o name: most of what it shows does not exist yet")
    check_home(home)
    from reconciler.settings import load
    from reconciler.source.candidate import find_candidate

    settings = load(home)
    applied = _applied(home)
    candidate = find_candidate(args.text("WHAT"), os.getcwd(), home.repository, settings.branch, applied)
    if candidate.note:
        say(candidate.note)
    is_text = shape in ("table", "wide")
    if is_text:
        live = f"{applied[:10]} is live" if applied else "nothing is live yet"
        print(clean(f"plan of {candidate.sha[:10] or 'a push of'} ({candidate.shown}); {live}"), flush=True)
    tell = _print_verdict if is_text else _keep_silent
    verdict, revision, plan = _foresee(home, settings, candidate, tell)
    if is_text:
        _print_plan(verdict, revision, plan)
    else:
        print_object(shape, _object(candidate, verdict, revision, plan), "")
    if plan.has_refusal or not verdict.accepted:
        return UsageError.exit_code
    return Refused.exit_code if plan.held or plan.has_forbidden else 0


def _applied(home: Home) -> str | None:
    """The commit that is live; None if nothing is, or there is no database yet."""
    from reconciler.store.read import Gone, open_read

    try:
        reader = open_read(home.database)
    except Gone:
        return None
    found = reader.rows("SELECT value FROM meta WHERE key = 'applied'")
    reader.close()
    return str(found[0][0]) if found else None


def _foresee(home: Home, settings: Settings, candidate: Candidate, tell: Tell) -> tuple[PushVerdict, Revision, Plan]:
    """What the push check says, told at once, and what the push would do."""
    import gc
    import logging
    from contextlib import closing

    from reconciler.clock import SystemClock, local_zone
    from reconciler.forecast import foresee
    from reconciler.loop.context import Options
    from reconciler.model.images import Images
    from reconciler.source.parsing import ParsedCache, manifest_parser
    from reconciler.source.preview import open_preview
    from reconciler.source.repository import Scope
    from reconciler.store.read_plan import open_copy, standing_of
    from reconciler.workflow.bounds import Rules

    gc.disable()  # a great many values are made, none is part of a cycle, and the process ends with them
    logging.getLogger("reconciler").addHandler(logging.NullHandler())
    images = Images(mapped=settings.images, mapped_only=settings.image_policy == "mapped-only")
    cache = ParsedCache(manifest_parser(images))
    rules = Rules(keep_locks=settings.compatibility != "argo")
    options = Options(parallelism=settings.parallelism, boot_id="", local_zone=local_zone(), rules=rules)
    at = SystemClock().now()
    scope = Scope(include=settings.include)
    with (
        closing(open_copy(home.database)) as copy,
        open_preview(home.repository, candidate, scope=scope, cache=cache, branch=settings.branch) as (repository, sha),
    ):
        verdict = _check(copy, settings, repository, sha, images)
        tell(verdict)
        revision = repository.read_revision(sha, copy.meta("applied"), at=at, standing=standing_of(copy))
        return verdict, revision, foresee(copy, revision, at=at, options=options, is_committed=bool(candidate.sha))


def _check(copy: Writer, settings: Settings, repository: Repository, sha: str, images: Images) -> PushVerdict:
    """The push check's answer; for the branch's own head, which was pushed before, as if it came after what is live."""
    from reconciler.model.source import RefUpdate
    from reconciler.source.check import Lookup, PushRequest, check_push
    from reconciler.source.offline import TreeLookup
    from reconciler.source.repository import ZERO_SHA
    from reconciler.store.read_plan import CopyLookup

    applied = copy.meta("applied")
    head = repository.resolve(settings.branch)
    old = applied if head == sha else head
    options = ("receive.lineclear=warn",) if settings.receive == "warn" else ()
    update = RefUpdate(old=old or ZERO_SHA, new=sha, ref=f"refs/heads/{settings.branch}")
    lookup: Lookup = CopyLookup(copy) if old in (None, applied) else TreeLookup(repository, old)
    request = PushRequest(updates=(update,), options=options, quarantine={})
    most = settings.limit_documents
    return check_push(repository, request, lookup, branch=settings.branch, images=images, most_documents=most)


def _keep_silent(verdict: PushVerdict) -> None:
    """An object is printed whole, at the end."""


def _print_verdict(verdict: PushVerdict) -> None:
    print("".join(clean(line) + "\n" for line in verdict.lines), end="", flush=True)


def _print_plan(verdict: PushVerdict, revision: Revision, plan: Plan) -> None:
    from reconciler.views.plan import change_lines, run_lines, summary

    if not revision.fast_forward:
        print("it does not follow what is live: git takes it by force only, and what others pushed meanwhile would be undone")
    if not verdict.accepted:
        print("let through, it would do this:")
    if plan.held:
        print(clean(f"held: {plan.held}"))
        print("approved, it would do this:")
    write = sys.stdout.write
    for line in change_lines(plan):
        write(clean(line) + "\n")
    for one in plan.runs:
        write("".join(clean(line) + "\n" for line in run_lines(one)))
    write(summary(plan) + "\n" if plan.runs or plan.changes else "nothing changes\n")


def _object(candidate: Candidate, verdict: PushVerdict, revision: Revision, plan: Plan) -> dict[str, Any]:
    from reconciler.views.plan import plan_object

    def told(finding: Finding) -> dict[str, Any]:
        place = {"path": finding.place.path, "line": finding.place.line, "column": finding.place.column}
        return {**place, "severity": finding.severity.value, "rule": finding.rule, "message": finding.message}

    return {
        "commit": candidate.sha,
        "source": candidate.shown,
        "applied": revision.previous or "",
        "fastForward": revision.fast_forward,
        "accepted": verdict.accepted,
        "findings": [told(finding) for finding in (*verdict.errors, *verdict.warnings)],
        **plan_object(plan),
    }
