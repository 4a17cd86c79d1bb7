"""Manifests whose steps write down when they begin and end: the only thing that the oracles here believe.

A step appends `S RUN NODE ATTEMPT EPOCHS` and `E RUN NODE ATTEMPT` to one file for each lock that it holds; O_APPEND makes the
order of the lines the order of the events.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

SCRIPT = """\
for lock in {logs}; do
  printf 'S %s %s %s %s\\n' "$LINECLEAR_RUN" "$LINECLEAR_NODE" "$LINECLEAR_ATTEMPT" "$LINECLEAR_EPOCHS" >> "{folder}/$lock"
done
{body}
for lock in {logs}; do
  printf 'E %s %s %s\\n' "$LINECLEAR_RUN" "$LINECLEAR_NODE" "$LINECLEAR_ATTEMPT" >> "{folder}/$lock"
done
exit {code}
"""


def make_locks(mutexes, semaphores):
    found = {}
    if mutexes:
        found["mutexes"] = [{"name": name} for name in mutexes]
    if semaphores:
        found["semaphores"] = [{"configMapKeyRef": {"name": "limits", "key": key}} for key in semaphores]
    return {"synchronization": found} if found else {}


@dataclass
class Book:
    """Builds manifests of one home, and reads what their steps wrote."""

    home: object

    def workflow(self, name, body="sleep 0.01", **more):
        """A Workflow as JSON text (which is YAML). `mutexes`, `semaphores`, `template_mutexes`; `steps` bodies run in turn;
        `logs` are the files to write to, by default its locks, else `free`.
        """
        mutexes, semaphores = more.get("mutexes", ()), more.get("semaphores", ())
        own = more.get("template_mutexes", ())
        logs = " ".join(more.get("logs") or [*mutexes, *semaphores, *own] or ["free"])
        bodies = more.get("steps") or [body]

        def template(number, text, *, is_main):
            source = SCRIPT.format(logs=logs, folder=self.home.logs, body=text, code=more.get("code", 0))
            script = {"image": "host", "command": ["sh"], "source": source}
            return {"name": "main" if is_main else f"part{number}", "script": script, **make_locks(own, ())}

        if len(bodies) == 1:
            templates = [template(0, bodies[0], is_main=True)]
        else:
            parts = [template(n, text, is_main=False) for n, text in enumerate(bodies)]
            steps = [[{"name": f"s{n}", "template": part["name"]}] for n, part in enumerate(parts)]
            templates = [{"name": "main", "steps": steps}, *parts]
        spec = {"entrypoint": "main", "templates": templates, **make_locks(mutexes, semaphores), **more.get("spec", {})}
        metadata = {"name": name, **({"annotations": more["annotations"]} if "annotations" in more else {})}
        return json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec})

    def template(self, name, **more):
        body = json.loads(self.workflow(name, **more))
        return json.dumps({**body, "kind": "WorkflowTemplate"})

    def referrer(self, name, template):
        spec = {"workflowTemplateRef": {"name": template}}
        return json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec})

    def limits(self, **limits):
        data = {key: str(value) for key, value in limits.items()}
        return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": data})

    def read(self, log):
        return Log(self.home.lines(log))


@dataclass
class Log:
    """One lock's file. `starts` are (run, node, attempt, epochs) in order."""

    lines: list
    starts: list = field(default_factory=list)
    ended: set = field(default_factory=set)

    def __post_init__(self):
        for line in self.lines:
            word, run, node, attempt, *rest = line.split(" ", 4)
            if word == "S":
                self.starts.append((run, node, int(attempt), json.loads(rest[0])))
            else:
                self.ended.add(int(attempt))

    def runs(self):
        """Runs in the order of their first start."""
        return list(dict.fromkeys(run for run, *_ in self.starts))

    def twice(self):
        """Attempts and nodes that began more than once."""
        keys = [("attempt", attempt) for _, _, attempt, _ in self.starts] + [("node", run, node) for run, node, *_ in self.starts]
        return sorted({str(key) for key in keys if keys.count(key) > 1})

    def most_at_once(self):
        """How many were between S and E at one time; one that never wrote its E is taken as ended when the next begins."""
        inside, most = set(), 0
        for line in self.lines:
            word, _, _, attempt, *_ = line.split(" ", 4)
            if word == "E":
                assert int(attempt) in inside, f"attempt {attempt} ended after it was taken as gone, or never began: {line}"
                inside.discard(int(attempt))
            else:
                inside = {one for one in inside if one in self.ended} | {int(attempt)}
                most = max(most, len(inside))
        return most

    def epochs(self, key):
        """Epochs of one lock in order of starts, one for each run."""
        found = {}
        for run, _, _, epochs in self.starts:
            found.setdefault(run, epochs.get(key))
        return list(found.values())


@pytest.fixture
def book(home):
    """Manifests and logs of the test's home."""
    return Book(home)
