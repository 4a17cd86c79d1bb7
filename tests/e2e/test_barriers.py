"""The installed command, a real daemon and real processes: runs that meet at a barrier, and a daemon that is killed meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")

MANIFEST = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{name: {name}}}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {{name: prepare, template: prepare}}
    - - {{name: meet, template: meet}}
    - - {{name: switch, template: switch}}
  - name: prepare
    script: {{image: host, command: [sh], source: "while [ ! -e {gate} ]; do sleep 0.02; done; exit {code}"}}
  - name: meet
    suspend: {{}}
    metadata: {{annotations: {{lineclear.dev/barrier: all-ready}}}}
  - name: switch
    script: {{image: host, command: [sh], source: "true"}}
"""


def command(home, *words):
    """What the installed command prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
    done = subprocess.run(
        [COMMAND, *words], env=env | {"LINECLEAR_HOME": str(home.root)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(home, name, code=0):
    path = home.folder / f"{name}.yaml"
    path.write_text(MANIFEST.format(name=name, gate=home.folder / f"gate-{name}", code=code))
    return str(path)


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_runs_of_one_submit_meet_over_a_killed_daemon_and_end_alike(home, code, phase):
    home.daemon.start()
    command(home, "submit", write(home, "shop"), write(home, "mail", code))
    (home.folder / "gate-shop").touch()
    home.wait_rows("SELECT 1 FROM barrier WHERE state = 'arrived'")
    assert command(home, "why", "shop").startswith('shop waits at barrier "all-ready" since ')
    assert 'Waiting at barrier "all-ready" for mail' in command(home, "get", "shop")
    home.daemon.kill()
    (home.folder / "gate-mail").touch()
    home.daemon.start()
    assert [home.wait_phase(name) for name in ("shop", "mail")] == [phase, phase]
    states = home.rows("SELECT DISTINCT state FROM barrier")
    assert states == [("passed" if code == 0 else "failed",)]


def test_a_push_of_crossed_barriers_is_refused_and_one_that_fits_meets(home):
    home.daemon.start()
    notes = "metadata: {name: NAME, annotations: {lineclear.dev/pipeline: release}}"
    files = {}
    for name, order in (("a", ("one", "two")), ("b", ("two", "one"))):
        steps = "".join(f"    - [{{name: {one}, template: {one}}}]\n" for one in order)
        ends = "".join(
            f"  - {{name: {one}, suspend: {{}}, metadata: {{annotations: {{lineclear.dev/barrier: {one}}}}}}}\n" for one in order
        )
        head = f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n{notes.replace('NAME', name)}\nspec:\n  entrypoint: main\n"
        files[f"{name}.yaml"] = f"{head}  templates:\n  - name: main\n    steps:\n{steps}{ends}"
    refused = home.push(files, check=False)
    assert refused.returncode != 0
    assert "LC520" in refused.said
    home.push({"b.yaml": files["a.yaml"].replace("name: a,", "name: b,")})
    assert [home.wait_phase(name) for name in "ab"] == ["Succeeded", "Succeeded"]
    assert home.rows("SELECT DISTINCT state FROM barrier") == [("passed",)]
