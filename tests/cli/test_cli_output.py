"""Standard output that nobody reads or that cannot be written: the exit code still tells how the command went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")


@pytest.fixture
def shell(rows):
    """Runs a line of shell with `$L` as the command on the rows' home; the code is that of the first program of a pipe."""

    def call(line: str) -> subprocess.CompletedProcess[str]:
        script = f'L="{COMMAND} --home {rows.home}"; {line}; exit ${{PIPESTATUS[0]}}'
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)

    return call


@pytest.mark.parametrize("words", ["wait bad", "wait good bad", "wait good good bad"])
def test_a_failure_is_told_by_the_code_though_nobody_reads(rows, shell, words):
    rows.run("good", "Succeeded")
    rows.run("bad", "Failed")
    done = shell(f"$L {words} | sleep 0")
    assert (done.returncode, done.stderr) == (1, "")


def test_findings_are_told_by_the_code_though_nobody_reads(rows, shell, tmp_path):
    (tmp_path / "bad.yaml").write_text("a:\n\tb: 1\napiVersion: argoproj.io/v1alpha1\n")
    assert "a tab stands here" in shell(f"$L lint {tmp_path}").stdout
    assert shell(f"$L lint {tmp_path} | true").returncode == 2


def test_a_log_that_nobody_reads_ends_the_command(rows, shell):
    run = rows.run("talker", "Running")
    attempt = rows.attempt(run, rows.node(run, ".talker"))
    log = rows.home / "runs" / str(run) / str(attempt) / "log"
    log.parent.mkdir(parents=True)
    log.write_text("words\n" * 100_000)
    done = shell("$L logs -f talker | head -n 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "talker: words\n", "")


@pytest.mark.parametrize("words", ["list", "get good", "wait good", "help", "journal", "settings"])
@pytest.mark.parametrize(
    ("to", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "it is closed; send it to /dev/null if it is not wanted")],
)
def test_what_cannot_be_written_is_one_line_and_the_code_of_an_outage(rows, shell, words, to, reason):
    rows.run("good", "Succeeded")
    done = shell(f"$L {words} {to}")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"lineclear: could not write to standard output: {reason}\n"
