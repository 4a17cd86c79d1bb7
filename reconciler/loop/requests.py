"""What operators ask for, each verb one function: checked against the rows, written down with its consequence.

Raises Refused, NotFound or ManifestError, and then nothing of that request was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.errors import Conflict, LineclearError, ManifestError, NotFound, QueueFull, Refused, UsageError
from reconciler.loop import concurrency, limits, pausing
from reconciler.loop import crons as cron_runs
from reconciler.loop.context import Context
from reconciler.loop.due import remove_run
from reconciler.loop.holds import hold, refuse_hold, unhold
from reconciler.loop.naming import check_names
from reconciler.loop.pipelines import join
from reconciler.loop.revision import pushed
from reconciler.loop.stuck import release_run_unproven, terminate_stuck_holder, unproven_text
from reconciler.loop.submit import Order, source_of, submit
from reconciler.loop.unproven import look_at, unknown_of
from reconciler.model.own_kinds import OVERRIDE_FREEZE
from reconciler.model.spec import Document, Kind
from reconciler.model.state import Phase, RunState
from reconciler.store import catalogue, claims, crons, queue, runs
from reconciler.store.claims import Kept
from reconciler.store.reopen import reopen
from reconciler.workflow.values import resolve_arguments

Args = Mapping[str, Any]
Answer = dict[str, Any]
FROM_KINDS = {
    "workflowtemplate": Kind.WORKFLOW_TEMPLATE,
    "workflowtemplates": Kind.WORKFLOW_TEMPLATE,
    "wftmpl": Kind.WORKFLOW_TEMPLATE,
    "clusterworkflowtemplate": Kind.CLUSTER_TEMPLATE,
    "clusterworkflowtemplates": Kind.CLUSTER_TEMPLATE,
    "cwft": Kind.CLUSTER_TEMPLATE,
    "cwftmpl": Kind.CLUSTER_TEMPLATE,
    "cronworkflow": Kind.CRON_WORKFLOW,
    "cronworkflows": Kind.CRON_WORKFLOW,
    "cronwf": Kind.CRON_WORKFLOW,
    "cwf": Kind.CRON_WORKFLOW,
    "workflow": Kind.WORKFLOW,
    "workflows": Kind.WORKFLOW,
    "wf": Kind.WORKFLOW,
}


def find_run(ctx: Context, args: Args, key: str = "run") -> RunState:
    """The run that a request names. Raises NotFound."""
    namespace, name = str(args.get("namespace") or "default"), str(args.get(key) or "")
    run = runs.find_run(ctx.writer, namespace, name)
    if run is None:
        raise NotFound(f"run {name!r} is not in namespace {namespace}; `lineclear list` shows what is")
    return run


def do_submit(ctx: Context, args: Args) -> Answer:
    """Creates runs from documents handed in or from a live definition."""
    check_names(args)
    taken = _take_over(ctx, args)
    if args.get("from"):
        made = [_submit_from(ctx, args, taken)]
    else:
        documents: Sequence[Document] = args.get("documents") or ()
        if not documents:
            raise UsageError("nothing to submit: no Workflow document in the files; give a file with one, or --from KIND/NAME")
        if taken is not None and len(documents) > 1:
            raise UsageError(f"--take-over is for one run, and the files hold {len(documents)}; submit the others apart")
        made = [_submit_document(ctx, document, args, taken) for document in documents]
        join(ctx, made)
    if taken is not None:
        _release_taken(ctx, taken, made[0], str(args.get("reason") or ""))
    return {"runs": [run.id for run in made]}


def _order(args: Args, taken: RunState | None, **more: Any) -> Order:
    priority = args.get("priority")
    if taken is not None:
        more = {**more, "queue_order": taken.queue_order, "instead_of": taken.id}
        priority = max(taken.priority, int(priority or 0))
    return Order(
        parameters={str(k): str(v) for k, v in (args.get("parameters") or {}).items()},
        labels={str(k): str(v) for k, v in (args.get("labels") or {}).items()},
        priority=None if priority is None else int(priority),
        entrypoint=str(args.get("entrypoint") or ""),
        annotations=_override(args),
        **more,
    )


def _override(args: Args) -> dict[str, str]:
    """The annotation that lets a run pass freeze windows, with the reason for it."""
    if not args.get("override_freeze"):
        return {}
    reason = str(args.get("reason") or "").strip()
    if not reason:
        raise UsageError("--override-freeze wants a reason: the journal says who passed a freeze, and why")
    return {OVERRIDE_FREEZE: reason}


def _submit_document(ctx: Context, document: Document, args: Args, taken: RunState | None) -> RunState:
    if document.kind is not Kind.WORKFLOW:
        kind = document.kind.value
        start = "" if document.kind is Kind.CONFIG_MAP else f", and start it with `lineclear submit --from {kind.lower()}/NAME`"
        raise ManifestError(f"{document.place}: a {kind} cannot be submitted: push it{start}")
    name = str(args.get("name") or document.name)
    prefix = str(args.get("generate_name") or ("" if args.get("name") else document.generate_name))
    order = _order(args, taken, name="" if prefix else name, generate_name=prefix, is_exact=bool(args.get("name")))
    source = pushed(document, "", origin="submit")
    wanted = str(args.get("namespace") or "")
    if wanted and "namespace" not in (document.body.get("metadata") or {}):
        source = replace(source, namespace=wanted)
    return submit(ctx, source, order)


def _submit_from(ctx: Context, args: Args, taken: RunState | None) -> RunState:
    kind_text, _, name = str(args["from"]).partition("/")
    kind = FROM_KINDS.get(kind_text.lower())
    if kind is None or not name:
        kinds = "workflowtemplate, clusterworkflowtemplate, cronworkflow or workflow"
        raise UsageError(f"--from {args['from']!r}: it is KIND/NAME, with {kinds} as KIND")
    namespace = str(args.get("namespace") or "default")
    home = "" if kind is Kind.CLUSTER_TEMPLATE else namespace
    definition = catalogue.find_definition(ctx.writer, kind, home, name)
    if definition is None:
        known = ", ".join(catalogue.live_names(ctx.writer, kind, home)) or "none"
        where = f"in namespace {namespace}" if home else "live"
        raise NotFound(f"{kind.value} {name!r} is not {where}; there is {known}")
    wanted = str(args.get("name") or "")
    if kind is Kind.CRON_WORKFLOW:
        return cron_runs.trigger(ctx, definition, _order(args, taken, name=wanted, is_exact=bool(wanted)))
    prefix = str(args.get("generate_name") or f"{name}-")
    order = _order(args, taken, name=wanted, generate_name="" if wanted else prefix, is_exact=bool(wanted))
    return submit(ctx, replace(source_of(ctx, definition, "submit"), namespace=namespace), order)


def _take_over(ctx: Context, args: Args) -> RunState | None:
    """The ended run whose locks the new one is to take. Raises Refused if it does not hold any, or has not ended."""
    name = args.get("take_over")
    if not name:
        return None
    run = find_run(ctx, args, "take_over")
    if not args.get("reason"):
        raise UsageError("--take-over needs --reason: it goes to the journal")
    if not run.is_final:
        raise Refused(f"{run.name} is {run.phase.value}: only an ended run's locks can be taken over; terminate it first")
    if not queue.holds_anything(ctx.writer, run.id):
        raise Refused(f"{run.name} holds no lock any more; submit without --take-over")
    return run


def _release_taken(ctx: Context, taken: RunState, heir: RunState, reason: str) -> None:
    """Lets the broken run's locks go to the heir. Raises Refused if the heir would not take them all: somebody else would."""
    wanted = {lock.key for lock in ctx.locks_of(heir)}
    held = runs.held_epochs(ctx.writer, taken.id)
    missing = [key for key in held if key not in wanted]
    if missing:
        raise Refused(
            f"the new run would not take {', '.join(missing)}, which {taken.name} holds, and the next in the queue would have it:"
            f" check its parameters, or terminate {taken.name} and submit without --take-over"
        )
    claims.outrank_waiters(ctx.writer, taken, heir)
    claims.release_all(ctx.writer, taken, f"taken over by {heir.name}: {reason}")
    detail = {"from": taken.name, "locks": held, "reason": reason}
    ctx.writer.journal("claim.taken-over", namespace=heir.namespace, run=heir.name, detail=detail)


def do_suspend(ctx: Context, args: Args) -> Answer:
    """Nothing more of a run begins until it is resumed."""
    run = find_run(ctx, args)
    refuse_hold(ctx, run, "suspended")
    return pausing.suspend(ctx, run)


def do_resume(ctx: Context, args: Args) -> Answer:
    """Lets a suspended run, or its suspend nodes, go on."""
    return pausing.resume(ctx, find_run(ctx, args), args)


def do_node_set(ctx: Context, args: Args) -> Answer:
    """Supplies outputs of suspend nodes, or ends them."""
    return pausing.set_node(ctx, find_run(ctx, args), args)


def do_stop(ctx: Context, args: Args) -> Answer:
    """Ends a run; its exit handler runs. With a node selector only suspend nodes that it fits are ended, as Failed."""
    if args.get("selector"):
        return pausing.fail_nodes(ctx, find_run(ctx, args), str(args["selector"]), str(args.get("message") or ""))
    return _shut_down(ctx, args, "Stop", "stop")


def do_terminate(ctx: Context, args: Args) -> Answer:
    """Ends a run without exit handler; an ended one lets its locks go, its phase stays. Unproven only if a person says so."""
    if args.get("release_unproven"):
        run = find_run(ctx, args)
        return {"run": run.id, "message": release_run_unproven(ctx, run, str(args.get("message") or "").strip())}
    return _shut_down(ctx, args, "Terminate", "terminate")


def _shut_down(ctx: Context, args: Args, strategy: str, verb: str) -> Answer:
    run = find_run(ctx, args)
    reason = str(args.get("message") or "")
    if not run.is_final:
        runs.set_shutdown(ctx.writer, run, strategy, verb, reason=reason)
        seen = look_at(ctx, run)
        told = f"; it keeps its locks: {unproven_text(run, seen)}" if unknown_of(seen) else ""
        return {"run": run.id, "message": f"{verb} requested{told}"}
    held = claims.release_all(ctx.writer, run, f"{verb}{': ' + reason if reason else ''}")
    if held == 0:
        raise Refused(f"{run.name} has ended ({run.phase.value}) and holds no lock: there is nothing to {verb}")
    return {"run": run.id, "message": f"its locks were released; it stays {run.phase.value}"}


def do_retry(ctx: Context, args: Args) -> Answer:
    """Runs again what did not succeed, in the same run, with the locks that it still holds."""
    run = find_run(ctx, args)
    refuse_hold(ctx, run, "retried")
    if run.phase not in (Phase.FAILED, Phase.ERROR):
        raise Refused(f"{run.name} is {run.phase.value}: only a Failed or Error run can be retried; use resubmit for a new run")
    spec = ctx.specs.get(run.spec_digest)
    asks_apart = spec.deployment is not None and spec.deployment.asks_apart
    wants_any = bool(spec.locks) or (spec.deployment is not None and not asks_apart and bool(spec.deployment.constraints))
    kept = claims.kept_of_run(ctx.writer, run.id, but_deployment=asks_apart)
    concurrency.rejoin(ctx, run, cron_runs.present_rule(ctx, run))
    has_locks = run.started_at is not None and (kept is Kept.ALL or not wants_any)
    reopen(ctx.writer, run, spec.active_deadline_s, keeps_running=has_locks)
    if kept is Kept.SOME:
        claims.ask_again_in_front(ctx.writer, run)
    return {"run": run.id, "message": "retried" if has_locks else "retried; it asks for its locks again"}


def do_resubmit(ctx: Context, args: Args) -> Answer:
    """A new run of the same frozen spec, under the same policy, at the end of the queue."""
    run = find_run(ctx, args)
    refuse_hold(ctx, run, "submitted again")
    taken = _take_over(ctx, args)
    spec = ctx.specs.get(run.spec_digest)
    given = {**run.arguments, **{str(k): str(v) for k, v in (args.get("parameters") or {}).items()}}
    order = _order({**args, "parameters": {}}, taken)
    arguments = resolve_arguments(spec.arguments, given, f"Workflow/{run.name}")
    new = runs.resubmission(
        ctx.writer,
        run,
        ctx.new_uid(),
        arguments,
        priority=run.priority if order.priority is None else order.priority,
        queue_order=order.queue_order,
    )
    rule = concurrency.rule_again(run, arguments)
    made = concurrency.start(ctx, replace(new, rule=rule), instead_of=order.instead_of)
    if taken is not None:
        _release_taken(ctx, taken, made, str(args.get("reason") or ""))
    return {"runs": [made.id]}


def do_delete(ctx: Context, args: Args) -> Answer:
    """Removes an ended run and what it holds; with `force` an active one is ended first."""
    run = find_run(ctx, args)
    if run.is_final:
        remove_run(ctx, run.id, "deleted")
        return {"removed": [run.id], "message": "deleted"}
    if not args.get("force"):
        raise Refused(f"{run.name} is {run.phase.value}: stop or terminate it first, or delete it with --force")
    runs.set_shutdown(ctx.writer, run, "Terminate", "delete")
    return {"run": run.id, "message": "it is deleted as soon as its processes have ended"}


def _cron(ctx: Context, args: Args) -> catalogue.Definition:
    namespace, name = str(args.get("namespace") or "default"), str(args.get("name") or "")
    definition = catalogue.find_definition(ctx.writer, Kind.CRON_WORKFLOW, namespace, name)
    if definition is None:
        known = ", ".join(catalogue.live_names(ctx.writer, Kind.CRON_WORKFLOW, namespace)) or "none"
        raise NotFound(f"CronWorkflow {name!r} is not in namespace {namespace}; live there: {known}")
    return definition


def do_cron_suspend(ctx: Context, args: Args) -> Answer:
    """Overrides the definition: no ticks until resume, or until a push changes the schedule."""
    cron = _cron(ctx, args)
    crons.set_suspended(ctx.writer, cron.namespace, cron.name, suspended=True)
    return {"message": f"{cron.name} is suspended until `lineclear cron resume {cron.name}`; {cron.place} says otherwise"}


def do_cron_resume(ctx: Context, args: Args) -> Answer:
    """Ends a suspension."""
    cron = _cron(ctx, args)
    crons.set_suspended(ctx.writer, cron.namespace, cron.name, suspended=False)
    return {"message": f"{cron.name} is resumed"}


def do_cron_reset(ctx: Context, args: Args) -> Answer:
    """Has a cron go on from now."""
    return {"message": cron_runs.reset(ctx, _cron(ctx, args))}


def do_cron_trigger(ctx: Context, args: Args) -> Answer:
    """Starts a run now, under the cron's own policy."""
    return {"runs": [cron_runs.trigger(ctx, _cron(ctx, args), _order(args, None)).id]}


def do_sync_approve(ctx: Context, args: Args) -> Answer:
    """Lets a held revision remove what it removes."""
    sha = str(args.get("sha") or "")
    row = ctx.writer.db.execute("SELECT sha FROM revision WHERE state = 'held'").fetchone()
    if row is None:
        raise NotFound("no revision is held")
    if len(sha) < 7 or not row[0].startswith(sha):
        raise Refused(f"the held revision is {row[0]}, not {sha!r}; look at it with `lineclear sync` and approve that one")
    ctx.writer.set_meta("approved", row[0])
    ctx.writer.journal("revision.approved", subject=row[0])
    return {"sha": row[0], "offer_again": True}


VERBS: Mapping[str, Callable[[Context, Args], Answer]] = {
    "submit": do_submit,
    "stop": do_stop,
    "terminate": do_terminate,
    "suspend": do_suspend,
    "resume": do_resume,
    "node_set": do_node_set,
    "retry": do_retry,
    "resubmit": do_resubmit,
    "delete": do_delete,
    "cron_suspend": do_cron_suspend,
    "cron_resume": do_cron_resume,
    "cron_reset": do_cron_reset,
    "cron_trigger": do_cron_trigger,
    "limit_set": limits.set_limit,
    "limit_delete": limits.delete_limit,
    "sync_approve": do_sync_approve,
    "terminate_stuck_holder": terminate_stuck_holder,
    "hold": hold,
    "unhold": unhold,
}


def handle(ctx: Context, verb: str, args: Args, actor: str) -> Answer:
    """Carries one request out, inside the caller's transaction."""
    function = VERBS.get(verb)
    if function is None:
        raise UsageError(f"unknown request {verb!r}; known: {', '.join(sorted(VERBS))}")
    ctx.writer.actor = actor
    try:
        return function(ctx, args)
    finally:
        ctx.writer.actor = ""


def record_refusal(ctx: Context, verb: str, args: Args, actor: str, error: LineclearError) -> None:
    """Writes down who asked for what a rule or the present state forbids, and why; mistakes in the asking are no refusals."""
    if not isinstance(error, Refused | Conflict | QueueFull):
        return
    namespace, run, lock = (_plain(args.get(name)) for name in ("namespace", "run", "lock"))
    ctx.writer.actor = _plain(actor)
    given = {"given": str(args["reason"])} if args.get("reason") else {}
    detail = {"verb": verb, "reason": str(error), **given}
    ctx.writer.journal("request.refused", namespace=namespace or "default", run=run, subject=lock, detail=detail)
    ctx.writer.actor = ""


def _plain(value: object) -> str:
    """A text that the store takes; what a peer sends may hold half a character."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
