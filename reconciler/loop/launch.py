"""From rows to a launch: the process of an attempt, with the environment that a step gets and nothing else."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from reconciler.errors import ManifestError
from reconciler.home import Home
from reconciler.loop.context import Context
from reconciler.model.attempt import AttemptId, Intent, Launch
from reconciler.model.images import Image, Images
from reconciler.model.spec import Program
from reconciler.model.state import AttemptPhase, AttemptState, NodeState, RunState
from reconciler.settings import Settings
from reconciler.store import runs
from reconciler.store.nodes import StoredNodes
from reconciler.workflow.program import render
from reconciler.workflow.scope import scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every step of this home is given."""

    home: Home
    settings: Settings
    user: str
    account_home: str

    @property
    def images(self) -> Images:
        """The image map of the settings."""
        return Images(mapped=self.settings.images, mapped_only=self.settings.image_policy == "mapped-only")


def intent_of(home: Home, attempt: AttemptState) -> Intent:
    """What the attempt's row says of it to a runtime."""
    return Intent(
        attempt_id=AttemptId(attempt.id),
        directory=home.attempt(attempt.run_id, attempt.id),
        boot_id=attempt.boot_id,
        reserved=attempt.reserved,
        began=attempt.state is AttemptPhase.LIVE,
        is_unknown=attempt.is_unknown,
    )


def build_launch(ctx: Context, around: Surroundings, attempt: AttemptState) -> Launch:
    """The launch of an attempt, computed from rows alone: the same whenever it is computed.

    Raises ManifestError, UnresolvedTag or LookupError if it cannot be; the attempt then ends in Error.
    """
    run = runs.get_run(ctx.writer, attempt.run_id)
    stored = StoredNodes(ctx.writer, run.id)
    node = stored.node_by_id(attempt.node_id)
    spec = ctx.specs.get(run.spec_digest)
    body = spec.templates[node.template].body
    assert isinstance(body, Program)
    command = render(body, scope_of(run, spec, stored, node, ctx.writer.now))
    image = around.images.find(command.image) or Image()
    argv = (*(command.command or image.command), *command.args)
    if not argv or (not command.command and not image.command):
        raise ManifestError(
            f"image {command.image!r} has no command here: set command in template {node.template!r}, or under [images] in the"
            " settings"
        )
    directory = around.home.attempt(run.id, attempt.id)
    given = {**base_env(around), "TMPDIR": os.path.join(directory, "tmp")}
    env = {**given, **dict(command.env), **_own_env(ctx, around, run, node, attempt)}
    if image.path:
        env["PATH"] = os.pathsep.join((*image.path, env.get("PATH", "")))
    call = node.display.partition("(")[0]
    secrets = tuple((variable, around.home.path("secrets", name, key)) for variable, name, key in command.secrets)
    return Launch(
        attempt_id=AttemptId(attempt.id),
        directory=directory,
        argv=argv,
        env=env,
        source=command.source,
        cwd=command.working_dir or None,
        grace_s=around.settings.grace_s,
        extra_env_from=secrets,
        keep_stdout=call in spec.result_calls,
        log_bytes=around.settings.limit_log_mb * 1_000_000,
        sandbox=image.runtime == "sandbox",
        limits=image.limits(around.settings.limits),
        shown=tuple(folder for folder in (env.get("LINECLEAR_REPO"), *image.path) if folder),
        reserved=attempt.reserved,
    )


def base_env(around: Surroundings) -> dict[str, str]:
    """What every program that the daemon starts for somebody is given of the settings and the account: nothing of its own."""
    settings = around.settings
    return {
        "PATH": settings.path_env,
        "HOME": around.account_home,
        "USER": around.user,
        "LOGNAME": around.user,
        "LANG": settings.lang,
        **({"TZ": settings.tz} if settings.tz else {}),
    }


def _own_env(ctx: Context, around: Surroundings, run: RunState, node: NodeState, attempt: AttemptState) -> dict[str, str]:
    epochs = runs.held_epochs(ctx.writer, run.id)
    env = {
        "LINECLEAR_RUN": run.name,
        "LINECLEAR_NAMESPACE": run.namespace,
        "LINECLEAR_NODE": run.name + node.name,
        "LINECLEAR_ATTEMPT": str(attempt.id),
        "LINECLEAR_EPOCH": str(max(epochs.values(), default="")),
        "LINECLEAR_EPOCHS": json.dumps(epochs),
    }
    if run.commit_sha:
        env["LINECLEAR_COMMIT"] = run.commit_sha
        env["LINECLEAR_REPO"] = around.home.tree(run.commit_sha)
    return env
