"""Requests over the socket that no command would make: each is answered, none is a traceback, and runs go on."""

from __future__ import annotations

import contextlib
import json
import random
import socket

from reconciler.control.shapes import FIELDS

UPDATE = ["0" * 40, "1" * 40, "refs/heads/main"]
ODD = (
    *(None, True, 0, -1, 10**27, 2**63, 2**31, 1.5, 1e308),
    *("", "x", "é" * 3, "\ud800", "a\0b", "x" * 200_000, "../..", "default/Mutex/m"),
    *([], ["x"], [[]], {}, {"a": "b"}, {"a": []}, [{"path": "a", "text": "kind: ["}], [["a", "b", "c"]], [UPDATE]),
)


def talk(home, data):
    """The last part of the answer to one line."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as line:
        line.settimeout(60)
        line.connect(str(home.root / "control.sock"))
        line.sendall(data)
        with line.makefile("rb") as lines:
            for part in lines:
                answer = json.loads(part)
                if answer.keys() & {"ok", "error", "exit"}:
                    return answer
    raise AssertionError(f"no answer to {data[:200]!r}")


def test_every_verb_with_every_kind_of_value_is_answered_and_nobody_else_notices(home, book):
    home.daemon.start()
    home.submit(book.workflow("before", mutexes=["m"]))
    chance = random.Random(8)
    verbs = [verb for verb in FIELDS if verb not in ("poke", "down")]
    for verb in verbs:
        for _ in range(12):
            args = {name: chance.choice(ODD) for name in FIELDS[verb] if chance.random() < 0.8}
            answer = talk(home, json.dumps({"verb": verb, "args": args, "actor": chance.choice(ODD)}).encode() + b"\n")
            told = answer.get("error", {}).get("message", "")
            assert "mistake of ours" not in told, (verb, args)
            assert "failed: " not in told, (verb, args)
    home.submit(book.workflow("after", mutexes=["m"]))
    assert home.wait_phase("after") == "Succeeded"
    said = home.daemon.said()
    assert "Traceback" not in said
    assert "rolled back" not in said
    assert home.verify().misfits == ()
