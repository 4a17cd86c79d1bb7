# ruff: noqa: INP001 (a script, not a package)
"""The story of Lineclear, told for real in under a minute: every command is run, every claim is checked.

It owns a throw-away home in `.demo/` beside the README, ends everything that it started, and exits with 1 and with what was
expected and seen if anything did not happen. With `--readme` it also writes its output into the README.

Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
SOURCES = ROOT / "docs" / "demo"
HOME = DEMO / "home"
CLONE = DEMO / "clone"
EVIDENCE = DEMO / "evidence"
SHORT = "deploy-production"
LOCK = f"default/Mutex/{SHORT}"
MARKS = ("<!-- demo:begin, written by docs/demo.py --readme -->", "<!-- demo:end -->")
COMMAND_LIMIT_S = 30
Answer = TypeVar("Answer")

RELEASES = ("production-1.0", "production-1.1", "production-1.2", "staging-1.1", "dev-1.2")


class DemoError(Exception):
    """A claim of the story did not come true."""


class Story:
    """Tells, runs and checks; keeps all that it printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.claims = 0
        self.began = time.monotonic()
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LINECLEAR_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "LINECLEAR_HOME": str(HOME),
            "LINECLEAR_ACTOR": "ada",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Demo",
            "GIT_AUTHOR_EMAIL": "demo@localhost",
            "GIT_COMMITTER_NAME": "Demo",
            "GIT_COMMITTER_EMAIL": "demo@localhost",
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }

    def say(self, text: str = "") -> None:
        """Print one line and keep it, with this checkout's own path left out."""
        line = text.replace(f"{ROOT}{os.sep}", "")
        self.lines.append(line)
        print(line, flush=True)

    def tell(self, text: str) -> None:
        """Say what comes next, and why."""
        self.say()
        self.say(f"# {text}")

    def run(self, command: str, *, exits: int = 0, quiet: bool = False) -> str:
        """Run one command line without a shell; return all it printed. Any other exit code than `exits` ends the demo."""
        cwd = CLONE if command.startswith("git ") and CLONE.exists() else ROOT
        if not quiet:
            self.say(f"$ {command}")
        try:
            done = subprocess.run(
                shlex.split(command),
                cwd=cwd,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=COMMAND_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise DemoError(f"{command}: expected an end within {COMMAND_LIMIT_S} s; seen so far: {late.output!r}") from late
        if not quiet:
            self.show(done.stdout)
        if done.returncode != exits:
            raise DemoError(f"{command}: expected exit code {exits}, seen {done.returncode}:\n{done.stdout}")
        return done.stdout

    def show(self, output: str) -> None:
        """Print what a command printed; lines that an earlier command printed too become one `...`."""
        for line in output.rstrip().splitlines():
            text = f"  {line.rstrip()}"
            if text.strip() and text in self.lines:
                text = "  ..."
            if text != "  ..." or self.lines[-1] != text:
                self.say(text)

    def check(self, claim: str, *, expected: object, seen: object) -> None:
        """Stop the demo unless what was expected was seen."""
        if expected != seen:
            raise DemoError(f"{claim}: expected {expected!r}, seen {seen!r}")
        self.claims += 1
        self.say(f"  ok  {claim}")

    def holds(self, claim: str, *, true: bool, seen: object) -> None:
        """Stop the demo unless `true`; `seen` is what to look at then."""
        if not true:
            raise DemoError(f"expected: {claim}; seen: {seen!r}")
        self.claims += 1
        self.say(f"  ok  {claim}")


def commit(story: Story, message: str, *names: str) -> None:
    """Commit files of `docs/demo/` to the clone, with the evidence folder's path filled in."""
    for name in names:
        text = (SOURCES / name).read_text(encoding="utf-8")
        (CLONE / name).write_text(text.replace("@EVIDENCE@", str(EVIDENCE)), encoding="utf-8")
    story.say(f"(into the clone, from docs/demo: {', '.join(names)})")
    story.run("git add .", quiet=True)
    story.run(f"git commit --quiet -m {shlex.quote(message)}", quiet=True)


def wait_for(what: str, condition: Callable[[], Answer], *, limit_s: float = 15.0) -> Answer:
    """Poll `condition` until its answer is true and return that answer."""
    deadline = time.monotonic() + limit_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise DemoError(f"expected within {limit_s:g} s: {what}; seen: {answer!r}")
        time.sleep(0.02)
    return answer


def evidence(name: str) -> list[list[str]]:
    """The words of each line that the steps wrote into one file, in the order of writing."""
    path = EVIDENCE / name
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def living_daemon() -> int:
    """The pid of the home's daemon, or 0; a pid in the lock file that belongs to somebody else by now does not count."""
    path = HOME / "daemon.lock"
    found = re.search(r"\d+", path.read_text(encoding="utf-8")) if path.exists() else None
    if found is None or not is_alive(int(found[0])):
        return 0
    command = Path(f"/proc/{found[0]}/cmdline").read_bytes()
    return int(found[0]) if b"lineclear" in command or b"reconciler" in command else 0


def is_alive(pid: int) -> bool:
    """True if the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def left_over() -> list[int]:
    """Processes that still carry the demo's home in their environment or command line, this one aside."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = Path(f"/proc/{name}/cmdline").read_bytes() + Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if str(HOME).encode() in text and int(name) != os.getpid():
            found.append(int(name))
    return found


def set_up(story: Story) -> None:
    story.say("# A home: one daemon, one SQLite file, one Git repository with examples in it.")
    story.run(f"lineclear init --home {HOME.relative_to(ROOT)}")
    story.run("lineclear up")
    story.run(f"git clone --quiet {HOME.relative_to(ROOT)}/repo.git {CLONE.relative_to(ROOT)}")


def push_releases(story: Story) -> None:
    story.tell("Five releases in one push: three to production, one each to staging and dev. The first will fail.")
    commit(story, "Release 1.0, 1.1 and 1.2", "release.yaml", "releases.yaml", "migrate.sh", "rollout.sh")
    answer = story.run("git push --quiet")
    told = tuple(run for run in RELEASES if run in answer)
    story.check("the push itself told of all five runs", expected=RELEASES, seen=told)


def show_failure(story: Story) -> str:
    """Let the migration fail, look at the lock and its queue; return the epoch of the failed holder."""
    story.tell("The migration fails. Half-done work wants eyes first: the failed run keeps its lock, the others wait.")
    story.run("lineclear wait production-1.0", exits=1)
    story.run("lineclear locks")
    story.tell("Why is the third one waiting, and until when?")
    why = story.run("lineclear why production-1.2")
    named = "deploy-production" in why and "production-1.0" in why
    story.holds("it names the lock and the failed holder", true=named, seen=why)
    story.run("lineclear wait staging-1.1", quiet=True)
    story.run("lineclear wait dev-1.2", quiet=True)
    times = {(w[0], w[2]): float(w[3]) for w in evidence("releases") if w[0] != "production"}
    parallel = max(times["staging", "begin"], times["dev", "begin"]) < min(times["staging", "end"], times["dev", "end"])
    story.holds("meanwhile staging and dev ran at the same time and are done", true=parallel, seen=times)
    ran = [w[1] for w in evidence("releases") if w[0] == "production"]
    story.check("in production nothing but the failed 1.0 has begun", expected=["1.0"], seen=ran)
    shown = story.run(f"lineclear terminate-stuck-holder {SHORT} --dry-run")
    epoch = re.search(rf"{re.escape(LOCK)}#(\d+)", shown)
    if epoch is None:
        raise DemoError(f"terminate-stuck-holder --dry-run: expected {LOCK}#EPOCH, seen {shown!r}")
    return epoch[1]


def clear_lock(story: Story, epoch: str) -> None:
    story.tell("Somebody has looked. Clear it; the epoch says which holder was meant, so a stale screen hits nobody else.")
    wrong = int(epoch) + 1000
    story.run(f"lineclear terminate-stuck-holder {SHORT} --epoch {wrong} --reason looked --yes", exits=4)
    story.run(f'lineclear terminate-stuck-holder {SHORT} --epoch {epoch} --reason "column removed by hand" --yes')
    story.run("lineclear wait production-1.1")
    story.run("lineclear wait production-1.2")
    lines = [w[1:3] for w in evidence("releases") if w[0] == "production"]
    expected = [["1.0", "begin"], ["1.1", "begin"], ["1.1", "end"], ["1.2", "begin"], ["1.2", "end"]]
    story.check("the steps' own file: 1.1, then 1.2, never two at once", expected=expected, seen=lines)
    check_journal(story)


def check_journal(story: Story) -> None:
    """Hold the journal against the same order, and look for the person and the reason."""
    story.run(f"lineclear journal --lock {SHORT}")
    rows = json.loads(story.run("lineclear journal -o json", quiet=True))
    rows = rows["items"] if isinstance(rows, dict) else rows
    about = [row for row in rows if row["subject"] == LOCK]
    granted = [row["run"] for row in about if "grant" in row["kind"]]
    story.check(
        "the journal says the same",
        expected=["production-1.0", "production-1.1", "production-1.2"],
        seen=granted,
    )
    forced = [row for row in rows if "column removed by hand" in json.dumps(row)]
    story.holds("and names who cleared the lock, and why", true=bool(forced) and "ada" in forced[0]["actor"], seen=about)


def push_mistake(story: Story) -> None:
    story.tell("A mistake does not get in: the push is refused with file, line and column, and nothing changes.")
    commit(story, "Add a report", "report.yaml")
    before = story.run("git ls-remote origin main", quiet=True)
    answer = story.run("git push --quiet", exits=1)
    story.holds("the message points at report.yaml, line 7", true="report.yaml:7:" in answer, seen=answer)
    after = story.run("git ls-remote origin main", quiet=True)
    story.check("the branch has not moved", expected=before, seen=after)
    story.run("git reset --quiet --hard origin/main", quiet=True)


def kill_daemon(story: Story) -> None:
    story.tell("Kill the daemon with -9 while a step runs and another run waits for its lock.")
    commit(story, "Add a long job", "long-job.yaml")
    story.run("git push --quiet")
    story.run("lineclear submit --from workflowtemplate/long-job --name early")
    story.run("lineclear submit --from workflowtemplate/long-job --name late")
    began = wait_for("the first job's step has begun", lambda: evidence("long-job"))
    pid, step = living_daemon(), int(began[0][-1])
    story.say(f"$ kill -9 {pid}")
    os.kill(pid, signal.SIGKILL)
    wait_for("the daemon is gone", lambda: not is_alive(pid))
    story.holds("the daemon is dead, the step lives", true=is_alive(step), seen=step)
    story.run("lineclear up")
    why = story.run("lineclear why late")
    story.holds("no lock moved: the late one still waits for the early one", true="early" in why, seen=why)
    (EVIDENCE / "go").touch()
    story.run("lineclear wait early")
    story.run("lineclear wait late")
    words = [(w[0], w[1]) for w in evidence("long-job")]
    expected = [("early", "began"), ("early", "ended"), ("late", "began"), ("late", "ended")]
    story.check("each step began once and ended once, one after the other", expected=expected, seen=words)


def tear_down(story: Story) -> None:
    """End the daemon and all steps of the demo's home, however far the story came, this one or the last."""
    if not HOME.exists():
        return
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    (EVIDENCE / "go").touch()  # a step that no daemon can end any more ends by itself
    subprocess.run(
        ["lineclear", "down", "--kill-steps"],
        env=story.environ,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_LIMIT_S,
        check=False,
        capture_output=True,
    )
    if pid := living_daemon():
        os.kill(pid, signal.SIGKILL)


def write_readme(lines: list[str]) -> None:
    """Put the demo's output between the README's two marks."""
    path = ROOT / "README.md"
    before, begin, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise DemoError(f"README.md: expected the two marks {MARKS}, seen none or one")
    block = "\n".join(lines)
    path.write_text(f"{before}{begin}\n```console\n{block}\n```\n{end}{after}", encoding="utf-8")


def main(argv: list[str]) -> int:
    """0 if every claim came true."""
    story = Story()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        tear_down(story)
        shutil.rmtree(DEMO, ignore_errors=True)
        EVIDENCE.mkdir(parents=True)
        set_up(story)
        push_releases(story)
        clear_lock(story, show_failure(story))
        push_mistake(story)
        kill_daemon(story)
        story.say()
        story.run("lineclear down --kill-steps")
        wait_for("nothing is left running", lambda: not left_over())
        story.holds("nothing is left running", true=not living_daemon(), seen=living_daemon())
        if "--readme" in argv:
            write_readme(story.lines)
        print(f"\n{story.claims} claims, all true, in {time.monotonic() - story.began:.0f} s. The home stays in .demo.")
    except DemoError as failed:
        print(f"\nTHE DEMO FAILED: {failed}", file=sys.stderr)
        return 1
    finally:
        tear_down(story)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
