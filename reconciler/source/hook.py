"""Both hooks of a hosted repository, in one file: a thin client of the daemon's socket that every push starts twice.

Standard library only, and as little of it as possible: a push waits for it. It never imports anything of this package, never
decides, and never stops a push because the daemon is down, hung or wrong: without an answer begun in 200 ms the pre-receive
hook runs the check itself as another program, and the post-receive hook says where to look. A check that cannot be done at all
refuses the push and says how to push all the same; then that is written down.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

TYPE_CHECKING = False  # typing is too dear to import
if TYPE_CHECKING:
    from _socket import socket

ANSWER_S = 0.1  # from the start to the first byte of an answer; a push waits for two of them at the most
SILENCE_S = 30.0  # between two parts of an answer that has begun
REFUSED = 10  # the offline check's exit code for it; any other is a failure of its own
LATER = "accepted; see lineclear sync"
NOT_CHECKED = "the push could not be checked"
ANYWAY = "mend that, or push it unchecked: git push -o receive.lineclear=warn"
WARN_OPTIONS = ("receive.lineclear=warn", "lineclear=warn")
STDOUT, STDERR = 1, 2
LOG_LIMIT_BYTES = 1 << 20


class NoAnswer(Exception):
    """The daemon did not begin to answer, or stopped in the middle."""


def main(name: str, home: str, python: str, package_root: str) -> int:
    """The exit code for git: 1 if the check found errors that the push brings, or could not be made."""
    began_at = monotonic()
    is_check = name == "pre-receive"
    text = ""
    try:
        text = read_stdin()
        request = encode_request("check" if is_check else "pushed", text)
        try:
            return talk(home, request, began_at)
        except (NoAnswer, OSError):
            if is_check:
                return check_here(home, python, package_root, text)
    except Exception as error:  # noqa: BLE001 - the boundary of the hook: a pusher reads a reason, never a trace
        if is_check:
            return not_checked(home, text, f"{type(error).__name__}: {error}")
    say(LATER)
    return 0


def read_stdin() -> str:
    """What git tells the hook: a line `OLD NEW REF` for each ref."""
    parts = []
    while chunk := os.read(0, 65536):
        parts.append(chunk)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def encode_request(verb: str, text: str) -> bytes:
    """The request as one line of JSON; written by hand, for importing json costs more than all the rest."""
    from _json import encode_basestring_ascii as quote

    updates = ",".join("[" + ",".join(quote(word) for word in line.split(" ", 2)) + "]" for line in text.splitlines())
    if verb == "pushed":
        return f'{{"verb":"pushed","updates":[{updates}]}}\n'.encode()
    names = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
    quarantine = ",".join(f"{quote(n)}:{quote(os.environ[n])}" for n in names if n in os.environ)
    listed = ",".join(map(quote, push_options()))
    return f'{{"verb":"check","updates":[{updates}],"quarantine":{{{quarantine}}},"options":[{listed}]}}\n'.encode()


def push_options() -> list[str]:
    """What the pusher gave with -o."""
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    return [os.environ.get(f"GIT_PUSH_OPTION_{i}", "") for i in range(int(count) if count.isdigit() else 0)]


def talk(home: str, request: bytes, began_at: float) -> int:
    """Send the request to the daemon and print its answer; its exit code. Raises NoAnswer or OSError."""
    import _socket

    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        channel.settimeout(left(began_at))
        channel.connect(f"/proc/self/fd/{folder}/control.sock")  # a path of any length
        while request:
            channel.settimeout(left(began_at))
            request = request[channel.send(request) :]
        channel.settimeout(left(began_at))
        return listen(channel)
    finally:
        channel.close()
        os.close(folder)


def left(began_at: float) -> float:
    """The seconds in which an answer must still begin."""
    rest_s = began_at + ANSWER_S - monotonic()
    if rest_s <= 0:
        raise NoAnswer
    return rest_s


def listen(channel: socket) -> int:
    """Print what the daemon says, line by line, until it gives the exit code."""
    rest = b""
    while chunk := channel.recv(65536):
        channel.settimeout(SILENCE_S)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            exit_code = obey(line.decode("utf-8", "replace"))
            if exit_code is not None:
                return exit_code
    raise NoAnswer


def obey(line: str) -> int | None:
    """Print a line `{"say": "text"}`; return the code of a line `{"exit": 0}`; None for everything else.

    A line `{"error": ...}` is no answer: raises NoAnswer.
    """
    line = line.strip()
    key, _, value = line.partition(":")
    value = value.strip()
    if key.strip("{ ") == '"say"' and value.startswith('"'):
        from _json import scanstring

        try:
            text, _ = scanstring(value, 1, False)
        except ValueError:
            return None
        say(text)
    elif key.strip("{ ") == '"error"':
        raise NoAnswer
    elif key.strip("{ ") == '"exit"':
        return 1 if value.rstrip("} ") != "0" else 0
    return None


def say(text: str, to: int = STDERR) -> None:
    """Print for the person who pushes; git puts `remote:` before it. What could act on a terminal is shown as an escape."""
    cleaned = "\n".join(line if line.isprintable() else clean(line) for line in text.split("\n"))
    os.write(to, (cleaned + "\n").encode("utf-8", "backslashreplace"))


def clean(text: str) -> str:
    """The text with control and direction characters as visible escapes."""
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in text)


def check_here(home: str, python: str, package_root: str, text: str) -> int:
    """The verdict of the offline check, given the request as its input; if it cannot be made, the push is refused."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON"))}
    environment |= {"PYTHONPATH": package_root, "PYTHONSAFEPATH": "1"}
    argv = [python, "-m", "reconciler.source.offline", "--home", home, "--repository", os.getcwd()]
    path, log = open_log(home)
    try:
        held = os.memfd_create("lineclear-request", 0)
        os.write(held, encode_request("check", text))
        os.lseek(held, 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, held, 0), (os.POSIX_SPAWN_DUP2, STDERR, STDOUT), (os.POSIX_SPAWN_DUP2, log, STDERR)]
        pid = os.posix_spawn(python, argv, environment, file_actions=actions)
        exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError as error:
        return not_checked(home, text, str(error))
    if exit_code not in (0, REFUSED):
        return not_checked(home, text, f"the check ended with {exit_code}; see {path}")
    return 1 if exit_code == REFUSED else 0


def open_log(home: str) -> tuple[str, int]:
    """Where the offline check writes what is not for the pusher, and a descriptor of it; begun anew when it is long."""
    path = os.path.join(home, "log", "hook.log")
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(log).st_size > LOG_LIMIT_BYTES:
            os.ftruncate(log, 0)
    except OSError:
        return "the system's log", os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    return path, log


def not_checked(home: str, text: str, why: str) -> int:
    """Refuse a push that cannot be checked, with the way to push all the same; take it if that was asked for, and note that."""
    if not any(option in WARN_OPTIONS for option in push_options()):
        say(f"refused: {NOT_CHECKED}: {why}; {ANYWAY}")
        return 1
    say(f"{NOT_CHECKED}: {why}; let through by receive.lineclear=warn")
    note = f"not checked: {why}; let through by receive.lineclear=warn; pushed by {pusher()}"
    folder = os.path.join(home, "checked")
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        for line in text.splitlines():
            receipt = os.open(os.path.join(folder, line.split(" ")[1]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(receipt, note.encode("utf-8", "backslashreplace"))
            os.close(receipt)
    except (OSError, IndexError) as error:
        say(f"that could not be written down: {error}")
    return 0


def pusher() -> str:
    """Who runs the hook: the system's account."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
