"""Bytes at the control socket: whatever comes, the peer gets an answer or a closed connection, and others are served meanwhile.

Frames come from a list of kinds and from dice that spoil good requests. Nothing here may stop the daemon or leave a thing in the
home.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time

from attack.campaign import Done, house

ANSWER_S = 20.0
VERBS = ("ping", "limit_set", "cron_trigger", "stop", "terminate", "retry", "delete", "hold", "suspend", "submit")
ODD = (None, True, -1, 0, 1e308, 10**40, "", "x" * 5000, "\0", "\ud800", [], {}, [[]], {"a": {"b": []}}, "../../x", "'; --")


def kinds():
    """(what, bytes) of frames that no client sends."""
    yield "nothing", b"\n"
    yield "no end of line", b'{"verb": "ping"'
    yield "a NUL", b"\0\n"
    yield "not UTF-8", b'{"verb": "\xff\xfe"}\n'
    yield "a number", b"7\n"
    yield "a list", b"[]\n"
    yield "null", b"null\n"
    yield "a text", b'"ping"\n'
    yield "no verb", b'{"args": {}}\n'
    yield "an unknown verb", b'{"verb": "destroy"}\n'
    yield "a verb that is a list", b'{"verb": ["ping"]}\n'
    yield "args that are a list", b'{"verb": "stop", "args": [1]}\n'
    yield "args that are a text", b'{"verb": "submit", "args": "x"}\n'
    yield "files that are a number", b'{"verb": "submit", "args": {"files": 7}}\n'
    yield "files without text", b'{"verb": "submit", "args": {"files": [{}]}}\n'
    yield "a deep list", b"[" * 200_000 + b"\n"
    yield "a deep object", b'{"a":' * 100_000 + b"\n"
    yield "deep args", b'{"verb": "stop", "args": {"run": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}\n"
    yield "a huge number", b'{"verb": "stop", "args": {"run": ' + b"9" * 100_000 + b"}}\n"
    yield "NaN", b'{"verb": "stop", "args": {"run": NaN}}\n'
    yield "a surrogate", b'{"verb": "stop", "args": {"run": "\\ud800"}}\n'
    yield "a key twice", b'{"verb": "ping", "verb": "stop"}\n'
    yield "many keys", b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}\n"
    yield "blanks", b" " * 1_000_000 + b"\n"
    yield "another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "many requests at once", b'{"verb": "ping"}\n' * 50


def spoil(dice):
    """A frame that began as a good request."""
    request = {"verb": dice.choice(VERBS), "args": {"run": "nobody", "reason": "x", "lock": "x", "name": "x"}}
    match dice.randrange(4):
        case 0:
            request["args"][dice.choice(list(request["args"]))] = dice.choice(ODD)
        case 1:
            request["args"] = dice.choice(ODD)
        case 2:
            request["verb"] = dice.choice(ODD)
        case 3:
            request["actor"] = dice.choice(ODD)
    frame = bytearray(json.dumps(request).encode() + b"\n")
    if dice.random() < 0.5:
        for _ in range(dice.randint(1, 6)):
            frame[dice.randrange(len(frame))] = dice.randrange(256)
    return bytes(frame)


def send(home, frame):
    """What one peer got for a frame, with its own end of the connection closed for sending: b'' if it was hung up on.

    Raises TimeoutError if neither an answer nor an end came.
    """
    with home.connect(ANSWER_S) as link:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            link.sendall(frame)
            link.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := link.recv(65536):
                found += chunk
        return found


def silent_peers(home, count):
    """So many connections of which each has sent half a request and says no more; as many as are taken."""
    peers = []
    with contextlib.suppress(OSError):
        for _ in range(count):
            peers.append(home.connect(2.0))
            peers[-1].sendall(b'{"verb": "pi')
    return peers


def is_served(home):
    """How long an honest request took, in seconds."""
    began = time.monotonic()
    assert "ok" in home.ask("ping", ANSWER_S)
    return time.monotonic() - began


def check(home, what, frame):
    """What is wrong with the answer to a frame, or ''."""
    try:
        answer = send(home, frame)
    except TimeoutError:
        return f"{what}: neither an answer nor an end within {ANSWER_S:g} s"
    lines = answer.splitlines()
    for line in lines:
        said = json.loads(line)
        if set(said) not in ({"ok"}, {"error"}):
            return f"{what}: the answer is {line[:200]!r}"
        if "error" in said and said["error"]["code"] not in range(1, 8):
            return f"{what}: the code is {said['error']}"
    if home.child.poll() is not None:
        return f"{what}: the daemon ended with {home.child.returncode}"
    return ""


def attack(home, dice, count):
    """Every kind, then `count` spoiled requests: (what broke, how many frames)."""
    frames = [*kinds(), *((f"spoiled {number}", spoil(dice)) for number in range(count))]
    before = home.phases()
    found = [said for what, frame in frames if (said := check(home, what, frame))]
    if "Traceback" in home.said():
        found.append(f"a traceback in the daemon's log: {home.said()[-1500:]}")
    if home.phases() != before:
        found.append(f"runs came of it: {home.phases()}")
    return found, len(frames)


def campaign(budget, dice):
    """A round is a home, 5,000 frames and some hundred peers that say nothing."""
    count = 0
    for _ in budget:
        with house() as home:
            home.start()
            found, sent = attack(home, dice, 5000)
            silent = silent_peers(home, 200)
            is_served(home)
            for peer in silent:
                peer.close()
        count += sent
        yield from found
    yield Done(f"{count} frames")
