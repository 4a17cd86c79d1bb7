"""The command line's and the screen's side of the control socket: one request, one answer. Standard library only.

`_socket` is used without its `socket` wrapper, which would cost every request 6 ms. Nothing here reads or writes the store.
"""

from __future__ import annotations

import json
import os
import time
from _socket import AF_UNIX, SOCK_STREAM, socket
from contextlib import suppress

from reconciler import errors
from reconciler.home import Home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PING_TIMEOUT_S = 2.0
REQUEST_TIMEOUT_S = 60.0
HUNG_AFTER_S = 10.0
_ERRORS: dict[int, type[errors.LineclearError]] = {
    2: errors.UsageError,
    3: errors.NotFound,
    4: errors.Refused,
    5: errors.Unreachable,
    6: errors.TimedOut,
    7: errors.QueueFull,
}
_CHUNK_BYTES = 65536


class NoDaemon(errors.Unreachable):
    """No daemon listens at the home's socket."""


class Hung(errors.Unreachable):
    """A daemon has the socket and answers nothing, a ping neither."""


def actor() -> str:
    """Who asks: LINECLEAR_ACTOR, else the login name; the daemon records the peer's uid beside it."""
    given = os.environ.get("LINECLEAR_ACTOR")
    if given:
        return given
    try:
        from pwd import getpwuid

        return getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def request(
    home_root: str, verb: str, args: dict[str, Any] | None = None, timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[str, Any]:
    """The daemon's answer to one request.

    A daemon that is silent for 2 s is pinged meanwhile, so a slow one is waited for and one that hangs is told at once.
    Raises NoDaemon if none listens, Hung, Unreachable if the answer does not come in time or is cut off, and what the
    daemon refused as the error of its exit code.
    """
    line = json.dumps({"verb": verb, "args": args or {}, "actor": actor()}, ensure_ascii=False) + "\n"
    wanted = verb.replace("_", " ")
    deadline = time.monotonic() + timeout_s
    connection = _connect(home_root, min(timeout_s, PING_TIMEOUT_S))

    def persist(call: Callable[[Any], Any], value: Any) -> Any:
        while True:
            try:
                return call(value)
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
                _look(home_root, wanted)

    try:
        left = memoryview(line.encode("utf-8", "surrogateescape"))
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have said why it takes no more
            while left:
                left = left[persist(connection.send, left) :]
        answer = _read_line(lambda: persist(connection.recv, _CHUNK_BYTES))
    except TimeoutError as error:
        raise errors.Unreachable(
            f"could not {wanted}: the daemon of {home_root} did not answer in {timeout_s:g} s, and may have done it;"
            " see `lineclear journal`"
        ) from error
    except OSError as error:
        raise errors.Unreachable(f"could not {wanted}: the connection to the daemon broke: {error}") from error
    finally:
        connection.close()
    return _decode(verb, answer)


def _look(home_root: str, wanted: str) -> None:
    """Raises Hung if the daemon does not answer a ping either; one that closed its socket may still be at work."""
    try:
        ping(home_root)
    except NoDaemon:
        return
    except errors.Unreachable as error:
        raise Hung(
            f"could not {wanted}: it answers neither this nor a ping; the request may lie in its socket and is done if it goes on"
        ) from error


def ping(home_root: str) -> dict[str, Any]:
    """The daemon's state: pid, version, home, ticked_s_ago. Raises NoDaemon, or Unreachable if it does not answer."""
    return request(home_root, "ping", timeout_s=PING_TIMEOUT_S)


def _connect(home_root: str, timeout_s: float) -> socket:
    """A connection; the home is reached through a descriptor, because a socket's address holds 108 bytes at most."""
    advice = "start one with `lineclear up`"
    try:
        folder = os.open(home_root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NoDaemon(f"could not reach a home at {home_root}: {error.strerror}; `lineclear init` makes one") from error
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        name = os.path.basename(Home(home_root).socket)
        connection.connect(f"/proc/self/fd/{folder}/{name}")
    except (ConnectionRefusedError, FileNotFoundError) as error:
        connection.close()
        raise NoDaemon(f"could not reach the daemon of {home_root}: no daemon is running; {advice}") from error
    except OSError as error:
        connection.close()
        reason = error.strerror or "it takes no connection"
        raise errors.Unreachable(f"could not reach the daemon of {home_root}: {reason}") from error
    finally:
        os.close(folder)
    return connection


def _read_line(receive: Callable[[], bytes]) -> bytes:
    found: list[bytes] = []
    while not found or not found[-1].endswith(b"\n"):
        chunk = receive()
        if not chunk:
            raise ConnectionError("it was closed before the answer was whole")
        found.append(chunk)
    return b"".join(found)


def _decode(verb: str, answer: bytes) -> dict[str, Any]:
    try:
        message = json.loads(answer)
        if "error" not in message:
            found: dict[str, Any] = message["ok"]
            return found
        code, text = int(message["error"]["code"]), str(message["error"]["message"])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.Unreachable(f"could not {verb}: the daemon's answer makes no sense: {answer[:200]!r}") from error
    raise _ERRORS.get(code, errors.LineclearError)(text)
