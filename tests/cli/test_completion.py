"""Completion: what may follow, and the three scripts in their real shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["termi"], ["terminate", "terminate-stuck-holder"]),
        (["--home", "/x", "res"], ["resume", "resubmit"]),
        (["cron", "s"], ["suspend"]),
        (["lint", "--na"], ["--namespace"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["lint", "manifests/"], [":files"]),
        (["submit", "--home", ""], [":files"]),
        (["nonsense", ""], []),
        (["get", "cronw"], ["cronworkflow"]),
    ],
)
def test_words_are_completed_by_what_the_command_takes(lineclear, words, wanted):
    found = lineclear("__complete", *words)
    assert (found.code, found.err) == (0, "")
    assert sorted(line.partition("\t")[0] for line in found.out.split("\n") if line) == sorted(wanted)


def test_names_come_from_the_home_and_a_missing_home_is_no_error(rows, lineclear):
    rows.run("deploy-a", phase="Running")
    rows.run("deploy-b", phase="Pending")
    rows.db.commit()
    found = lineclear("__complete", "stop", "deploy-")
    assert found.out.splitlines() == ["deploy-b\tPending", "deploy-a\tRunning"]
    assert lineclear("__complete", "stop", "--home", "/nowhere", "d").out == "\n"


ZSH = (
    "compdef() { :; }; _describe() { print -l -- ${(P)2}; }; words=(lineclear comple); CURRENT=2;"
    " source <(lineclear completion zsh); _lineclear"
)
SHELLS = {
    "bash": (
        'source <(lineclear completion bash); COMP_WORDS=(lineclear comple); COMP_CWORD=1; _lineclear; echo "${COMPREPLY[@]}"',
        "completion",
    ),
    "zsh": (
        ZSH,
        "completion:print the completion script of a shell",
    ),
    "fish": ("lineclear completion fish | source; complete -C 'lineclear comple'", "completion\tprint the completion script"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_with_its_script(shell, tmp_path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed here")
    script, wanted = SHELLS[shell]
    env = {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    plain = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    words = [program, *plain, "-c", script]
    done = subprocess.run(words, env=env, input="", capture_output=True, text=True, timeout=60, check=False)
    assert wanted in done.stdout, done.stderr
