"""Both hooks of a hosted repository, in one file: a thin client of the daemon's socket that every push starts twice.

Standard library only, and as little of it as possible: a push waits for it. It never imports anything of this package, never
decides, and never stops a push because the daemon is down, hung or wrong: without an answer begun in 200 ms the pre-receive
hook runs the check itself as another program, and the post-receive hook says where to look.
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


class NoAnswer(Exception):
    """The daemon did not begin to answer, or stopped in the middle."""


def main(name: str, home: str, python: str, package_root: str) -> int:
    """The exit code for git: 1 only if the check found errors that the push brings."""
    began_at = monotonic()
    text = read_stdin()
    is_check = name == "pre-receive"
    request = encode_request("check" if is_check else "pushed", text)
    try:
        return talk(home, request, began_at)
    except (NoAnswer, OSError):
        if is_check:
            return check_here(home, python, package_root, request)
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
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    options = [os.environ.get(f"GIT_PUSH_OPTION_{i}", "") for i in range(int(count) if count.isdigit() else 0)]
    listed = ",".join(map(quote, options))
    return f'{{"verb":"check","updates":[{updates}],"quarantine":{{{quarantine}}},"options":[{listed}]}}\n'.encode()


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
    """Print a line `{"say": "text"}`; return the code of a line `{"exit": 0}`; None for everything else."""
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
    elif key.strip("{ ") == '"exit"':
        return 1 if value.rstrip("} ") != "0" else 0
    return None


def say(text: str) -> None:
    """Print for the person who pushes; git puts `remote:` before it. What could act on a terminal is shown as an escape."""
    cleaned = "\n".join(line if line.isprintable() else clean(line) for line in text.split("\n"))
    os.write(2, (cleaned + "\n").encode("utf-8", "backslashreplace"))


def clean(text: str) -> str:
    """The text with control and direction characters as visible escapes."""
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in text)


def check_here(home: str, python: str, package_root: str, request: bytes) -> int:
    """The verdict of the offline check, given the request as its input; if it breaks, the push is taken unchecked."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON"))}
    environment |= {"PYTHONPATH": package_root, "PYTHONSAFEPATH": "1"}
    argv = [python, "-m", "reconciler.source.offline", "--home", home, "--repository", os.getcwd()]
    try:
        held = os.memfd_create("lineclear-request", 0)
        os.write(held, request)
        os.lseek(held, 0, os.SEEK_SET)
        pid = os.posix_spawn(python, argv, environment, file_actions=[(os.POSIX_SPAWN_DUP2, held, 0)])
        exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError as error:
        say(f"the push could not be checked: {error}; it is taken; see lineclear doctor")
        return 0
    if exit_code not in (0, REFUSED):
        say(f"the push could not be checked: the check ended with {exit_code}; it is taken; see lineclear doctor")
    return 1 if exit_code == REFUSED else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
