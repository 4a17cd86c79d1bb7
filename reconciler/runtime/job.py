"""One step as the worker starts it: program, directory, script, log, and the one spawn.

Standard library only and little of it: the zygote imports this file. It must never be called without the claim of the
attempt under its record's lock.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time

from reconciler.runtime.bounds import unpack_bounds
from reconciler.runtime.box import Box, BoxError
from reconciler.runtime.faults import MachineFault, describe, is_of_host
from reconciler.runtime.wire import NOT_STARTED_CODE, SPAWN, write_slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

PASSES_CODE = 75  # a step in a sandbox could not begin for a fault of the machine: it is tried again
STEP_SIGNALS = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class NotStartable(Exception):
    """The step cannot be started; the text is for the person who wrote it."""

    code = NOT_STARTED_CODE


class NotAllowed(NotStartable):
    """The machine does not allow what the step needs: the step is in order."""

    code = 1


class Job:
    """What a LAUNCH frame says; all bytes, as the kernel wants them."""

    __slots__ = (
        "argv", "attempt", "bounds", "cwd", "directory", "env", "grace_s", "keep_stdout", "log_bytes", "sandbox", "shown",
        "source", "token",
    )  # fmt: skip

    def __init__(self, attempt: int, body: bytes) -> None:
        self.attempt = attempt
        head = body.split(b"\0", 12)
        self.directory, self.cwd, self.token = head[0], head[1], head[2]
        self.grace_s = float(head[3])
        arguments, variables = int(head[4]), int(head[5])
        self.keep_stdout, self.sandbox = head[7] == b"1", head[8] == b"1"
        shown = int(head[9])
        self.bounds = unpack_bounds(head[10])
        self.log_bytes = int(head[11])  # what the log keeps; 0: all
        rest = head[12].split(b"\0", arguments + variables + shown)
        self.argv = rest[:arguments]
        self.env = dict(pair.split(b"=", 1) for pair in rest[arguments : arguments + variables])
        self.shown = rest[arguments + variables : arguments + variables + shown]
        self.source = rest[-1] if head[6] == b"1" else None


def find_program(name: bytes, path: bytes) -> bytes:
    """The file that argv[0] names, looked up on the step's own PATH; raises NotStartable or MachineFault."""
    shown = name.decode("utf-8", "replace")
    candidates = [name] if b"/" in name else [(where or b".") + b"/" + name for where in path.split(b":")]
    denied = False
    for candidate in candidates:
        try:
            mode = os.stat(candidate).st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if is_of_host(error):
                raise MachineFault(f"cannot look at the program {shown}: {describe(error)}") from None
            denied = True
            continue
        if stat.S_ISREG(mode) and os.access(candidate, os.X_OK):
            return candidate
        denied = True
    if denied:
        raise NotStartable(f"permission denied: {shown} is not an executable file; make it executable or name another")
    if b"/" in name:
        raise NotStartable(f"command not found: {shown}: no such file; install it or fix the command")
    where = path.decode("utf-8", "replace")
    raise NotStartable(f"command not found: {shown}: in no directory of PATH={where}; install it or fix the command")


def make_directories(job: Job) -> None:
    """The step's own folders, beside its record."""
    for own in (job.directory + b"/work", job.directory + b"/tmp"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(own, 0o700)


def enter_directory(job: Job) -> None:
    """Make the step's working directory this process' own; raises NotStartable or MachineFault.

    On the machine itself only a folder of the attempt's is made, in a sandbox any.
    """
    home = b"/" if job.sandbox else job.directory + b"/work"
    wanted = os.path.normpath(os.path.join(home, job.cwd)) if job.cwd else home
    try:
        try:
            os.chdir(wanted)
        except FileNotFoundError:
            if not job.sandbox and not wanted.startswith(job.directory + b"/"):
                raise
            os.makedirs(wanted, 0o700)
            os.chdir(wanted)
    except OSError as error:
        shown = wanted.decode("utf-8", "replace")
        if is_of_host(error):
            raise MachineFault(f"cannot enter working directory {shown}: {error.strerror}") from None
        raise NotStartable(f"cannot enter working directory {shown}: {error.strerror}; make it or fix workingDir") from None


def write_script(job: Job) -> None:
    """Write the step's source beside its record and append its path to the arguments."""
    if job.source is None:
        return
    path = job.directory + b"/script"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o700)
    try:
        view = memoryview(job.source)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    job.argv.append(path)


def spawn(job: Job, record: int, output: int | None) -> int:
    """Start the step in a session of its own; its pid once it has exec'ed. Raises NotStartable, MachineFault or OSError.

    `output` is where its standard output goes, None for the log.

    The record's descriptor is close-on-exec and stays open through vfork: whoever gets the lock later knows that the step
    has exec'ed, so that its token can be seen, or never will.
    """
    if not job.argv:
        raise NotStartable("cannot start the step: it has no command; give it one")
    program = b"" if job.sandbox else find_program(job.argv[0], job.env.get(b"PATH", os.fsencode(os.defpath)))
    log = os.open(job.directory + b"/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    write_slot(record, SPAWN, {"spawning": 1})
    out = log if output is None else output
    try:
        if job.sandbox:
            return fork_boxed(job, out, log)
        return os.posix_spawn(
            program,
            job.argv,
            job.env,
            file_actions=[(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setsid=True,
            setsigmask=(),
            setsigdef=STEP_SIGNALS,
        )
    except OSError as error:
        raise _not_executable(program, error) from None
    finally:
        os.close(log)


def _not_executable(program: bytes, error: OSError) -> NotStartable | MachineFault:
    shown = program.decode("utf-8", "replace")
    if is_of_host(error):
        return MachineFault(f"cannot make a process for {shown or 'the step'}: {error.strerror}")
    return NotStartable(f"cannot start {shown}: {error.strerror}; fix the command or its first line")


def fork_boxed(job: Job, out: int, log: int) -> int:
    """As `spawn`, in a sandbox: the fork tells why it could not exec, or its end of the pipe closes when it has."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _become_step(job, out, log, writing)
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    if not told:
        return pid
    os.waitpid(pid, 0)
    code, _, text = told.decode("utf-8", "replace").partition(" ")
    kinds: dict[int, type[Exception]] = {NotAllowed.code: NotAllowed, PASSES_CODE: MachineFault}
    raise kinds.get(int(code), NotStartable)(text)


def _become_step(job: Job, out: int, log: int, complaints: int) -> NoReturn:
    problem: Exception = NotAllowed("cannot make a sandbox: its maker failed; look at shim.log in the home")
    try:
        signal.set_wakeup_fd(-1)
        for signum in STEP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        Box(job.directory, job.shown).enter()
        enter_directory(job)
        program = find_program(job.argv[0], job.env.get(b"PATH", os.fsencode(os.defpath)))
        os.dup2(out, 1)
        os.dup2(log, 2)
        try:
            os.execve(program, job.argv, job.env)  # noqa: S606
        except OSError as error:
            raise _not_executable(program, error) from None
    except BoxError as error:
        problem = MachineFault(str(error)) if error.passes else NotAllowed(str(error))
    except (NotStartable, MachineFault) as error:
        problem = error
    except OSError as error:
        text = f"cannot make a sandbox: {error}; or map the image to host"
        problem = MachineFault(text) if is_of_host(error) else NotAllowed(text)
    finally:
        with contextlib.suppress(OSError):  # the worker is gone
            code = problem.code if isinstance(problem, NotStartable) else PASSES_CODE
            os.write(complaints, f"{code} {problem}".encode("utf-8", "replace"))
        os._exit(127)


def fail_at(point: str) -> None:
    """Crash or wait here if LINECLEAR_FAILPOINT says so: POINT:crash or POINT:delay=S, then :FILE to do it only once."""
    parts = os.environ.get("LINECLEAR_FAILPOINT", "").split(":", 2)
    if parts[0] != point:
        return
    if len(parts) == 3:
        try:
            os.close(os.open(parts[2], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return
    if parts[1] == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(parts[1].partition("=")[2]))
