"""Runs that meet at barriers, and how to look at them."""

from loop_harness import API, parsed, pod, steps
from loop_harness import spec as plain

BARRIER, TIMEOUT, PIPELINE = (f"lineclear.dev/{name}" for name in ("barrier", "barrier-timeout", "pipeline"))


def barrier(name="go", template="", timeout=None, **more):
    told = {BARRIER: name} | ({} if timeout is None else {TIMEOUT: timeout})
    return {"name": template or name, "suspend": {}, "metadata": {"annotations": told}, **more}


def meeting(*names, before=True, locks=(), more=(), **rest):
    """A run of one step, then each barrier, then another step."""
    groups = [["first"]] if before else []
    main = steps("main", *groups, *[[name] for name in names], ["last"])
    templates = [barrier(name) for name in names]
    return plain(main, pod("first"), pod("last"), *templates, *more, locks=locks, **rest)


def body(name, spec, **annotations):
    told = {f"lineclear.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name, "annotations": told}, "spec": spec}


def submit(world, **specs):
    """One `submit` of several files."""
    documents = [document for name, spec in specs.items() for document in parsed(f"{name}.yaml", body(name, spec)).documents]
    world.must("submit", documents=documents)


def standings(world, name="go"):
    sql = "SELECT r.name, b.state FROM barrier b JOIN run r ON r.id = b.run_id WHERE b.name = ? ORDER BY b.id"
    return dict(world.rows(sql, name))


def at_end(world, *runs):
    return [world.phase(run) for run in runs]
