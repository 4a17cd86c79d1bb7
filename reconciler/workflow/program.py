"""The process that a Pod node means: argv, environment and directory with every tag resolved."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.expr.tags import substitute
from reconciler.model.spec import Program
from reconciler.workflow.values import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run. `command` may be empty: then the image decides. `secrets` are (variable, NAME, KEY)."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    secrets: tuple[tuple[str, str, str], ...]
    working_dir: str
    source: str | None


def render(program: Program, values: Values) -> Command:
    """The command of a container or script template.

    Argo: a script's source goes to a file whose path follows the command; a container's args follow its command.
    Raises UnresolvedTag if any field names a variable that has no value.
    """
    plain = tuple((v.name, substitute(v.value, values)) for v in program.env if v.secret is None)
    secrets = tuple((v.name, *v.secret) for v in program.env if v.secret is not None)
    return Command(
        image=substitute(program.image, values),
        command=tuple(substitute(word, values) for word in program.command),
        args=tuple(substitute(word, values) for word in program.args),
        env=plain,
        secrets=secrets,
        working_dir=substitute(program.working_dir, values),
        source=substitute(program.source, values) if program.source else None,  # Argo: no file without a source
    )
