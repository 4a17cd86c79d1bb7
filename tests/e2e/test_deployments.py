"""The tutorial of deployments that queue, typed on the installed command, with the daemon killed half way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
LOCK = "default/Infrastructure/guestbook/cluster=gke-prod,namespace=target"
OWN = "lineclear.dev/v1alpha1"
FIELDS = {"cluster": "gke-prod", "namespace": "{{workflow.parameters.namespace}}"}
PLACE = {"apiVersion": OWN, "kind": "InfrastructureDefinition", "metadata": {"name": "gke"}, "spec": {"fields": FIELDS}}


@pytest.fixture
def lineclear(home):
    """(exit code, standard output) of the installed command."""

    def call(*words):
        env = home.env() | {"LINECLEAR_HOME": str(home.root)}
        done = subprocess.run([COMMAND, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


@pytest.fixture
def deploy(home, book, lineclear):
    """Starts a deployment, whose step waits for a file, into a namespace."""
    home.daemon.start()
    gate = home.folder / "gate"
    annotations = {"lineclear.dev/service": "guestbook", "lineclear.dev/infrastructure": "gke"}
    files = {"gke.yaml": json.dumps(PLACE)}
    for name in ("gke-demo", "gke-demo-template-clone"):
        body = json.loads(book.template(name, body=f"until [ -e {gate} ]; do sleep 0.02; done", logs=["place"]))
        body["metadata"]["annotations"] = annotations
        body["spec"]["arguments"] = {"parameters": [{"name": "namespace"}]}
        files[f"{name}.yaml"] = json.dumps(body)
    home.push(files)

    def start(template, name, namespace):
        return lineclear("submit", "--from", f"workflowtemplate/{template}", "--name", name, "-p", f"namespace={namespace}")

    return start


def test_the_second_deployment_to_a_place_waits_at_acquire_resource_lock_across_a_kill_of_the_daemon(home, deploy, lineclear):
    assert deploy("gke-demo", "first", "target") == (0, "first submitted, Running\n")
    code, said = deploy("gke-demo-template-clone", "second", "target")
    assert (code, said) == (0, f"second submitted, Pending: waits for {LOCK}: held by first (Running); position 1\n")
    assert deploy("gke-demo", "elsewhere", "other") == (0, "elsewhere submitted, Running\n")
    home.wait_line("place", "S first")

    home.daemon.kill()
    home.daemon.start()

    _, shown = lineclear("infra", "show", "gke", "-o", "json")
    mappings = json.loads(shown)["mappings"]
    queues = {one["fields"]["namespace"]: [(e["order"], e["status"], e["run"]) for e in one["queue"]] for one in mappings}
    assert queues == {"target": [(1, "ACTIVE", "first"), (2, "BLOCKED", "second")], "other": [(1, "ACTIVE", "elsewhere")]}
    _, tree = lineclear("get", "second")
    assert "Acquire Resource Lock" in tree
    assert f"BLOCKED: Waiting for {LOCK} lock" in tree
    (home.folder / "gate").touch()
    assert lineclear("wait", "first", "second", "elsewhere")[0] == 0
    starts = [line.split()[1] for line in home.lines("place") if line.startswith("S ")]
    assert starts.index("first") < starts.index("second")
    assert home.holders(LOCK) == []


def test_the_twenty_first_entry_of_a_place_ends_the_command_with_seven(home, deploy, lineclear):
    codes = [deploy("gke-demo", f"r{number}", "target")[0] for number in range(21)]
    assert codes == [0] * 20 + [7]
    assert lineclear("wait", "r20")[0] == 7
    assert "it has 20 entries, its holder included" in home.message("r20")
    (home.folder / "gate").touch()
    assert lineclear("wait", *(f"r{number}" for number in range(20)))[0] == 0
