"""Running git: the environment it gets, the deadline it has, and the one stream that objects are read from.

Everything here is a plain child process with a scrubbed environment; nothing outlives the call that started it. It never
interprets what git says about content, never follows a remote, and never imports GitPython: a hook's own check must start
fast.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from reconciler.errors import Transient

GIT_TIMEOUT_S = 30.0
PIPE_BYTES = 1 << 16
_CONFIG = (
    ("core.hooksPath", "/dev/null"),
    ("core.quotePath", "false"),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)


class GitFailed(Transient):
    """A git command did not do its work; `stderr` is what it said, `status` None if it did not come to an end."""

    def __init__(self, message: str, *, stderr: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.stderr = stderr
        self.status = status

    @property
    def is_silent_no(self) -> bool:
        """True for the way in which git says that something asked for is not there."""
        return self.status == 1 and not self.stderr


def drop_inherited_git_variables() -> None:
    """Take every GIT_* out of this process: a hook's GIT_DIR or quarantine must never reach a git child by inheritance.

    GitPython hands its children all of os.environ, so scrubbing what we pass is not enough.
    """
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        del os.environ[name]


def scrubbed_environment(repository: str, *, quarantine: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a git child gets: no configuration but the repository's, no prompt, no hooks, no replaced objects.

    `quarantine` is what a pre-receive hook was given: its object folder is read, with the repository's own as the alternate.
    A folder outside the repository is ignored.
    """
    real = os.path.realpath(repository)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CEILING_DIRECTORIES": os.path.dirname(real),
        "GIT_AUTHOR_NAME": "Lineclear",
        "GIT_AUTHOR_EMAIL": "lineclear@localhost",
        "GIT_COMMITTER_NAME": "Lineclear",
        "GIT_COMMITTER_EMAIL": "lineclear@localhost",
    }
    config = (*_CONFIG, ("safe.directory", real))
    env["GIT_CONFIG_COUNT"] = str(len(config))
    for index, (key, value) in enumerate(config):
        env[f"GIT_CONFIG_KEY_{index}"] = key
        env[f"GIT_CONFIG_VALUE_{index}"] = value
    folder = (quarantine or {}).get("GIT_QUARANTINE_PATH") or (quarantine or {}).get("GIT_OBJECT_DIRECTORY")
    if folder:
        objects = os.path.join(real, "objects")
        incoming = os.path.realpath(os.path.join(real, folder))
        if incoming.startswith(objects + os.sep):
            env["GIT_OBJECT_DIRECTORY"] = incoming
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = objects
    return env


def run_git(repository: str, env: Mapping[str, str], *args: str, stdin: bytes | None = None) -> bytes:
    """The output of one git command run inside `repository`; raises GitFailed if it fails or takes over GIT_TIMEOUT_S."""
    with spawn_git(repository, env, *args) as process:
        return finish_git(process, args[0], stdin=stdin)


def finish_git(process: subprocess.Popen[bytes], name: str, *, stdin: bytes | None = None) -> bytes:
    """The output of a command that `spawn_git` started; raises like `run_git`. The process is gone afterwards."""
    try:
        out, err = process.communicate(stdin, timeout=GIT_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        kill_git(process)
        raise GitFailed(f"git {name} gave no answer: {GIT_TIMEOUT_S:.0f} s passed; it is tried again") from error
    except BaseException:
        kill_git(process)
        raise
    if process.returncode != 0:
        text = err.decode("utf-8", "replace").strip()
        reason = f"exit code {process.returncode}: {text[-400:]}"
        raise GitFailed(f"git {name} failed: {reason}; it is tried again", stderr=text, status=process.returncode)
    return out


def spawn_git(repository: str, env: Mapping[str, str], *args: str) -> subprocess.Popen[bytes]:
    """A git command just started; use it as a context and end it with `finish_git` or `kill_git`."""
    try:
        return subprocess.Popen(
            ["git", *args],
            cwd=repository,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise GitFailed(f"git {args[0]} could not be started: {error}; it is tried again") from error


def kill_git(process: subprocess.Popen[bytes]) -> None:
    """End the child with all that it started; it is its own session, so the group is its alone until it is reaped."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class ObjectReader:
    """One `git cat-file --batch`, for as long as one reading takes. For one thread; close it, or use it as a context."""

    def __init__(self, repository: str, env: Mapping[str, str]) -> None:
        self._process = spawn_git(repository, env, "cat-file", "--batch")
        self._buffer = bytearray()
        self._deadline = time.monotonic() + GIT_TIMEOUT_S
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN | select.POLLHUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child; nothing of it is left."""
        kill_git(self._process)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def ask(self, names: Iterable[str]) -> None:
        """Name objects to be read next, in order; at most a pipe's worth at a time, or both sides would wait."""
        assert self._process.stdin is not None
        request = "".join(f"{name}\n" for name in names).encode()
        assert len(request) < PIPE_BYTES
        try:
            self._process.stdin.write(request)
        except OSError as error:
            raise GitFailed(f"git cat-file ended early: {error}; it is tried again") from error

    def answer(self, *, limit_bytes: int, marks: Sequence[bytes] = ()) -> tuple[str, str, int, bytes] | None:
        """The next object as (sha, type, size, content), None if there is none.

        Over the limit the content is only the first of `marks` that is in it, or b''.
        """
        self._deadline = time.monotonic() + GIT_TIMEOUT_S
        header = self._line().decode("utf-8", "replace")
        words = header.rsplit(" ", 2)
        if len(words) != 3 or not words[2].isdigit():
            return None
        size = int(words[2])
        if size > limit_bytes:
            return words[0], words[1], size, self._skip(size + 1, marks)
        return words[0], words[1], size, self._take(size + 1)[:-1]

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            self._fill()
        return self._take(end + 1)[:-1]

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _skip(self, count: int, marks: Sequence[bytes]) -> bytes:
        found, rest = b"", b""
        overlap = max(map(len, marks), default=1) - 1
        while count > 0:
            if not self._buffer:
                self._fill()
            part = bytes(self._buffer[:count])
            del self._buffer[:count]
            count -= len(part)
            if not found:
                seen = rest + part
                found = next((mark for mark in marks if mark in seen), b"")
                rest = seen[len(seen) - overlap :] if overlap else b""
        return found

    def _fill(self) -> None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0 or not self._poll.poll(left_s * 1000):
            raise GitFailed(f"git cat-file gave no answer: {GIT_TIMEOUT_S:.0f} s passed; it is tried again")
        chunk = os.read(self._out, PIPE_BYTES)
        if not chunk:
            raise GitFailed("git cat-file ended early: no more output; it is tried again")
        self._buffer += chunk
