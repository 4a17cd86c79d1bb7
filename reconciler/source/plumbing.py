"""The one room through which every git call of ours goes: its environment, its deadline, its bounds, the stream of objects.

Whatever a repository, an account or a caller's environment says, no call here runs a program but git's own, follows a remote,
fetches what is missing, prompts, or reads an object under another's name: docs/security.md has the list. Git's own judgement
on a folder of somebody else's stands: nothing is ever declared safe, but for what the account itself has declared.
Everything is a plain child process; nothing outlives the call that started it. It never interprets what git says about
content, and imports GitPython only to run a command: a hook's own check must start fast.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from reconciler.errors import Transient, UsageError

GIT_TIMEOUT_S = 30.0
PIPE_BYTES = 1 << 16
OUTPUT_LIMIT_BYTES = 32 << 20  # what a command may say: a few objects can name more paths than there is memory
OLDEST_GIT = (2, 32, 0)  # the first that can be told to read neither the account's nor the system's configuration
MEMORY_LIMIT_BYTES = 512 << 20  # of a command that works out all that it says before it says it
_NO_MEMORY = (b"Out of memory", b"out of memory")
_ERROR_LIMIT_BYTES = 1 << 16
_NO_LAZY_FETCH = {39: 4, 40: 2, 41: 1, 42: 2, 43: 4, 44: 1}  # of 2.N, the first that can be told to fetch nothing; all from 2.45
_CONFIG = (  # outranks what a repository's own configuration says, also for whatever git itself starts
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", "none"),
    ("core.askPass", "false"),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.alternateRefsCommand", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.quotePath", "false"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("commit.gpgSign", "false"),
    ("log.showSignature", "false"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)
_FIXED = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # unlike protocol.allow it outranks a protocol's own setting, and no protocol has this name
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_AUTHOR_NAME": "Lineclear",
    "GIT_AUTHOR_EMAIL": "lineclear@localhost",
    "GIT_COMMITTER_NAME": "Lineclear",
    "GIT_COMMITTER_EMAIL": "lineclear@localhost",
}


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


class TooMuch(GitFailed):
    """A git command had more to say than OUTPUT_LIMIT_BYTES, or than MEMORY_LIMIT_BYTES hold; it was ended."""


def drop_inherited_git_variables() -> None:
    """Take every GIT_* out of this process: a hook's GIT_DIR or quarantine must never reach a git child by inheritance.

    GitPython hands its children all of os.environ, so scrubbing what we pass is not enough.
    """
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        del os.environ[name]


def hosted_environment(repository: str, *, quarantine: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a git child gets that works on a home's own bare repository: that one, wherever the child stands.

    `quarantine` is what a pre-receive hook was given: its object folder is read, with the repository's own as the alternate.
    A folder outside the repository is ignored.
    """
    real = os.path.realpath(repository)
    env = _environment() | {"GIT_DIR": real}
    folder = (quarantine or {}).get("GIT_QUARANTINE_PATH") or (quarantine or {}).get("GIT_OBJECT_DIRECTORY")
    if folder:
        objects = os.path.join(real, "objects")
        incoming = os.path.realpath(os.path.join(real, folder))
        if incoming.startswith(objects + os.sep):
            env["GIT_OBJECT_DIRECTORY"] = incoming
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = objects
    return env


def clone_environment(trusted: Iterable[str] = ()) -> dict[str, str]:
    """What a git child gets that looks for the clone around the folder in which it is started.

    Git refuses one that belongs to somebody else; `trusted` are the folders for which the account has said otherwise.
    """
    env = _environment(tuple(("safe.directory", folder) for folder in trusted))
    if "SUDO_UID" in os.environ:  # git lets root read what belongs to whoever became root
        env["SUDO_UID"] = os.environ["SUDO_UID"]
    return env


def trusted_folders() -> tuple[str, ...]:
    """What the account and the system name as `safe.directory`: the only thing that is ever read of their configuration."""
    ours = {name: os.environ[name] for name in ("HOME", "XDG_CONFIG_HOME") if name in os.environ}
    env = _environment() | ours
    for name in ("GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_GLOBAL"):
        del env[name]
    try:
        listed = run_git("/", env, "config", "-z", "--show-scope", "--get-all", "safe.directory").split(b"\0")
    except GitFailed as error:
        if error.status is None:
            raise
        return ()
    pairs = zip(listed[:-1:2], listed[1::2], strict=True)
    return tuple(os.fsdecode(folder) for scope, folder in pairs if scope in (b"system", b"global"))


def _environment(more: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    env = dict(_FIXED)
    # a folder that is not absolute would be one of the repository's
    env["PATH"] = os.pathsep.join(p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(p))
    config = (*_CONFIG, *more)
    env["GIT_CONFIG_COUNT"] = str(len(config))
    for index, (key, value) in enumerate(config):
        env[f"GIT_CONFIG_KEY_{index}"] = key
        env[f"GIT_CONFIG_VALUE_{index}"] = value
    return env


def read_version() -> tuple[int, int, int]:
    """Git's version. Raises UsageError for one that cannot be told what must not happen."""
    said = run_git("/", _environment(), "version").decode("utf-8", "replace").strip()
    words = said.removeprefix("git version ").split(" ")[0].split(".")
    numbers = [int(word) if word.isdigit() else 0 for word in [*words, "0", "0"][:3]]
    version = (numbers[0], numbers[1], numbers[2])
    if version < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        why = f"{said!r} cannot be kept from running what a repository names"
        raise UsageError(f"git cannot be used: {why}; install {oldest} or later")
    return version


def can_refuse_to_fetch(version: tuple[int, int, int]) -> bool:
    """True for a git that takes GIT_NO_LAZY_FETCH."""
    major, minor, patch = version
    return version >= (2, 45, 0) or (major == 2 and patch >= _NO_LAZY_FETCH.get(minor, 1 << 30))


def run_git(repository: str, env: Mapping[str, str], *args: str, stdin: bytes | None = None) -> bytes:
    """The output of one git command run inside `repository`; raises GitFailed if it fails or takes over GIT_TIMEOUT_S."""
    with spawn_git(repository, env, *args) as process:
        return finish_git(process, args[0], stdin=stdin)


def finish_git(process: subprocess.Popen[bytes], name: str, *, stdin: bytes | None = None) -> bytes:
    """The output of a command that `spawn_git` started; raises like `run_git`. The process is gone afterwards."""
    try:
        out, err = _collect(process, stdin)
    except subprocess.TimeoutExpired as error:
        kill_git(process)
        raise GitFailed(f"git {name} gave no answer: {GIT_TIMEOUT_S:.0f} s passed; it is tried again") from error
    except BaseException:
        kill_git(process)
        raise
    if len(out) > OUTPUT_LIMIT_BYTES:
        raise TooMuch(f"git {name} was ended: it said more than {OUTPUT_LIMIT_BYTES >> 20} MiB; the tree is too large")
    if process.returncode != 0:
        if any(mark in err for mark in _NO_MEMORY):
            raise TooMuch(f"git {name} was ended: it took more than {MEMORY_LIMIT_BYTES >> 20} MiB; the tree is too large")
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


def _collect(process: subprocess.Popen[bytes], stdin: bytes | None) -> tuple[bytes, bytes]:
    """What the child said on both streams once it has ended; more than the limit ends it. Answers to `stdin` are short."""
    if stdin is not None:
        return process.communicate(stdin, timeout=GIT_TIMEOUT_S)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.close()
    out, err = process.stdout.fileno(), process.stderr.fileno()
    said = {out: bytearray(), err: bytearray()}
    streams = select.poll()
    for stream in said:
        streams.register(stream, select.POLLIN | select.POLLHUP)
    deadline, open_streams = time.monotonic() + GIT_TIMEOUT_S, 2
    while open_streams:
        ready = streams.poll(max(0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise subprocess.TimeoutExpired("git", GIT_TIMEOUT_S)
        for stream, _ in ready:
            chunk = os.read(stream, PIPE_BYTES)
            said[stream] += chunk
            if not chunk:
                streams.unregister(stream)
                open_streams -= 1
        del said[err][:-_ERROR_LIMIT_BYTES]
        if len(said[out]) > OUTPUT_LIMIT_BYTES:
            kill_git(process)
            break
    process.wait(max(0, deadline - time.monotonic()))
    return bytes(said[out]), bytes(said[err])


def execute(repository: str, env: Mapping[str, str], *args: str) -> tuple[int, str, str]:
    """(status, output, errors) of one git command run through GitPython, for what is rare; raises GitFailed if it can't be.

    GitPython's own reading of a repository is not asked for: it reads the configuration, by other rules than git.
    """
    from git.cmd import Git
    from git.exc import CommandError

    try:
        result: Any = Git(repository).execute(
            ["git", *args],
            env=dict(env),
            with_extended_output=True,
            with_exceptions=False,
            kill_after_timeout=GIT_TIMEOUT_S,
        )
    except (CommandError, OSError) as error:
        raise GitFailed(f"git {args[0]} could not be started: {error}; it is tried again") from error
    return int(result[0]), str(result[1]), str(result[2])


def bound_memory(process: subprocess.Popen[bytes]) -> None:
    """Keep a command that `spawn_git` started from taking the machine's memory."""
    with contextlib.suppress(OSError):  # it may have ended already
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def kill_git(process: subprocess.Popen[bytes]) -> None:
    """End the child with all that it started; it is its own session, so the group is its alone until it is reaped."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _asked(name: str) -> bytes:
    """A line of the request; a name with a line's end in it is asked for as one that nothing has, or it would be two."""
    return b"%s\n" % (b"" if "\n" in name else name.encode("utf-8", "surrogateescape"))


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
        request = b"".join(_asked(name) for name in names)
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
