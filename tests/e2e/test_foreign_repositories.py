"""The installed commands where Git meets what others have written: every git they start is told what it must not do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
WATCH = """\
#!/bin/sh
echo "${GIT_ALLOW_PROTOCOL-}|${GIT_NO_LAZY_FETCH-}|${GIT_CONFIG_GLOBAL-}|${GIT_NO_REPLACE_OBJECTS-}|$*" >> LOG
exec REAL "$@"
"""
MANIFEST = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: host, command: ['true']}
"""


@pytest.fixture
def call(home):
    """Runs the command against the home, in a folder, with a part of the environment changed."""

    def run(*words, cwd=None, **environ):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LINECLEAR_", "GIT_"))}
        env |= {"LINECLEAR_HOME": str(home.root), "HOME": str(home.folder), **environ}
        words = [COMMAND, *words]
        return subprocess.run(words, cwd=cwd or home.work, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_every_git_that_a_command_starts_is_told_what_it_must_not_do(home, call):
    log = home.folder / "gits"
    watch = home.folder / "bin/git"
    watch.parent.mkdir()
    watch.write_text(WATCH.replace("LOG", str(log)).replace("REAL", shutil.which("git")))
    watch.chmod(0o755)
    path = f"{watch.parent}{os.pathsep}{os.environ['PATH']}"
    manifest = MANIFEST.replace("NAME", "a")
    home.daemon.start(PATH=path)
    home.push({"a.yaml": manifest})
    home.wait_phase("a", "Succeeded")
    home.wait_rows("SELECT 1 FROM revision WHERE noted = 1")
    home.commit({"b.yaml": MANIFEST.replace("NAME", "b")})
    other = {"LINECLEAR_HOME": str(home.folder / "other")}
    for words, more in (
        (["plan"], {}), (["plan", "HEAD~1"], {}), (["plan", "."], {}), (["fsck"], {}), (["journal", "verify"], {}),
        (["lint", "."], {}),        (["sync"], {}), (["sync", "now"], {}), (["run", "a.yaml"], {}), (["init", "--repair"], {}),
        (["init"], other), (["get", "wf"], {}),
    ):  # fmt: skip
        done = call(*words, PATH=path, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    before = log.read_text()
    for words in (["lint", "."], ["run", "a.yaml"], ["list"], ["locks"]):
        assert call(*words, PATH=path).returncode == 0
    assert log.read_text() == before  # these read plain files and rows
    started = [line.split("|", 4) for line in log.read_text().splitlines()]
    assert {tuple(words[:4]) for words in started if words[4] != "version"} <= {
        ("none", "1", "/dev/null", "1"), ("none", "1", "", "1"),
    }  # fmt: skip
    others = {words[4] for words in started if words[2] == ""}
    assert others <= {"version", "config -z --show-scope --get-all safe.directory"}
    assert len(started) > 20


def test_a_plan_in_a_repository_of_somebody_elses_runs_nothing_of_it_and_is_refused(home, call):
    if os.geteuid() != 0:
        pytest.skip("only root can make a repository of somebody else's")
    home.push({"a.yaml": MANIFEST.replace("NAME", "a")})
    mark = home.folder / "mark"
    trap = home.folder / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {mark}\n")
    trap.chmod(0o755)
    for key, value in (
        ("remote.evil.url", f"ext::{trap}"), ("remote.evil.promisor", "true"), ("extensions.partialClone", "evil"),
        ("protocol.ext.allow", "always"), ("core.repositoryFormatVersion", "1"), ("core.fsmonitor", str(trap)),
    ):  # fmt: skip
        home.git("config", key, value)
    (home.work / ".git/refs/heads/main").write_text("1" * 40 + "\n")
    for folder, folders, files in os.walk(home.work):
        for name in (".", *folders, *files):
            os.chown(os.path.join(folder, name), 65534, 65534)
    for words in (["plan"], ["plan", "HEAD"], ["plan", "-o", "json"]):
        done = call(*words)
        assert (done.returncode, done.stdout) == (4, "")
        assert "belongs to somebody else" in done.stderr
    assert call("plan", ".").returncode == 0
    os.chown(home.work, 0, 0)
    os.chown(home.work / ".git", 0, 0)
    call("plan")
    assert not mark.exists()
