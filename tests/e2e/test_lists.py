"""What `get -o yaml` prints can be pushed again: its lists are read as the documents in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from reconciler.model.spec import Severity
from reconciler.source.offline import check_paths


@pytest.fixture
def call(home):
    def run(*words):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LINECLEAR_"))}
        argv = [sys.executable, "-m", "reconciler", "--home", str(home.root), *words]
        return subprocess.run(argv, check=True, env=env, capture_output=True, text=True, timeout=90).stdout

    return run


@pytest.mark.parametrize("shape", ["yaml", "json"])
def test_our_own_output_is_read_back(home, book, call, tmp_path, shape):
    cron = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "metadata": {"name": "night"},
        "spec": {"schedules": ["0 3 * * *"], "workflowSpec": json.loads(book.workflow("x"))["spec"]},
    }  # fmt: skip
    home.daemon.start()
    home.push({
        "w.yaml": book.workflow("one", mutexes=["m"]), "x.yaml": book.workflow("two"), "t.yaml": book.template("t"),
        "l.yaml": book.limits(a=2), "c.yaml": json.dumps(cron),
    })  # fmt: skip
    home.wait_phase("one")
    home.wait_phase("two")

    for kind, names in (("workflows", 2), ("workflowtemplates", 1), ("configmaps", 1), ("cronworkflows", 1)):
        path = tmp_path / f"{kind}.{shape}"
        path.write_text(call("get", kind, "-o", shape))
        checked = check_paths([path])
        assert [str(f) for f in checked.findings if f.severity is Severity.ERROR] == []
        assert (checked.documents, checked.foreign) == (names, 0), path.read_text()
