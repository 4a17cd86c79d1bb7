"""Checks of output parameters across templates: no two have one global name."""

from __future__ import annotations

from reconciler.lint import rules
from reconciler.lint.scope import View


def check_outputs(view: View) -> None:
    """All checks of one spec's own outputs; what each must say by itself is told when it is read."""
    seen: dict[str, str] = {}
    for template in view.own.templates.values():
        for number, output in enumerate(template.outputs):
            name = output.global_name
            if not name or "{{" in name:
                continue
            if name in seen:
                message = f'globalName "{name}" is also given in template "{seen[name]}": the value set last stays; rename one'
                path = (*view.path_of(template), "outputs", "parameters", number, "globalName")
                view.report(rules.GLOBAL_TWICE, path, message)
            seen.setdefault(name, template.name)
