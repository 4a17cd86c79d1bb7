"""The socket's client side: a real socket and a peer that answers what the test says, byte for byte."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from reconciler import errors
from reconciler.control import client


class Peer:
    """Listens at a home's socket, takes one request and answers it with the given bytes."""

    def __init__(self, home, answer: bytes | None) -> None:
        folder = os.open(home, os.O_RDONLY)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"/proc/self/fd/{folder}/control.sock")
        os.close(folder)
        self.listener.listen()
        self.answer = answer
        self.request = b""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            while not self.request.endswith(b"\n"):
                self.request += connection.recv(65536)
            if self.answer is None:
                self.over.wait(20)
            else:
                connection.sendall(self.answer)

    def close(self):
        self.over.set()
        self.thread.join(20)
        self.listener.close()


@pytest.fixture
def peer(tmp_path):
    """Starts a peer at a home whose path is longer than a socket's address may be."""
    home = tmp_path / ("long" * 30)
    home.mkdir()
    begun = []

    def start(answer: bytes | None) -> Peer:
        begun.append(Peer(home, answer))
        return begun[-1]

    start.home = str(home)
    yield start
    for one in begun:
        one.close()


def test_a_request_is_one_line_and_so_is_its_answer(peer, monkeypatch):
    monkeypatch.setenv("LINECLEAR_ACTOR", "mina")
    there = peer(b'{"ok": {"message": "gr\\u00fc\\u00dfe"}}\n')
    assert client.request(peer.home, "stop", {"run": "ä\n"}) == {"message": "grüße"}
    assert json.loads(there.request) == {"verb": "stop", "args": {"run": "ä\n"}, "actor": "mina"}
    assert there.request.count(b"\n") == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, errors.LineclearError),
        (2, errors.UsageError),
        (3, errors.NotFound),
        (4, errors.Refused),
        (5, errors.Unreachable),
        (6, errors.TimedOut),
        (7, errors.QueueFull),
    ],
)
def test_what_the_daemon_refuses_is_raised_with_its_code(peer, code, error):
    peer(json.dumps({"error": {"code": code, "message": "because"}}).encode() + b"\n")
    with pytest.raises(error, match="because") as caught:
        client.request(peer.home, "stop")
    assert caught.value.exit_code == code


@pytest.mark.parametrize("answer", [b"not json\n", b"{}\n", b"[]\n", b'{"error": "x"}\n'])
def test_an_answer_that_makes_no_sense_is_no_answer(peer, answer):
    peer(answer)
    with pytest.raises(errors.Unreachable, match="makes no sense"):
        client.request(peer.home, "stop")


def test_an_answer_that_is_cut_off_is_no_answer(peer):
    peer(b'{"ok": {')
    with pytest.raises(errors.Unreachable, match="the connection to the daemon broke"):
        client.request(peer.home, "stop")


def test_a_daemon_that_does_not_answer_is_given_up_and_the_journal_is_named(peer):
    peer(None)
    with pytest.raises(errors.Unreachable, match=r"did not answer in 0.05 s, and may have done it; see `lineclear journal`"):
        client.request(peer.home, "stop", timeout_s=0.05)


def test_a_daemon_that_answers_neither_the_request_nor_a_ping_hangs_and_the_message_claims_no_more(peer, monkeypatch):
    monkeypatch.setattr(client, "PING_TIMEOUT_S", 0.1)
    peer(None)
    with pytest.raises(client.Hung, match="answers neither this nor a ping; the request may lie in its socket") as caught:
        client.request(peer.home, "stop")
    assert (caught.value.exit_code, "took" in str(caught.value)) == (5, False)


def test_a_request_larger_than_the_sockets_room_to_one_that_reads_nothing_is_given_up_too(peer, monkeypatch):
    monkeypatch.setattr(client, "PING_TIMEOUT_S", 0.1)
    folder = os.open(peer.home, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"/proc/self/fd/{folder}/control.sock")
        os.close(folder)
        deaf.listen()
        with pytest.raises(client.Hung):
            client.request(peer.home, "submit", {"text": "x" * 4_000_000})


def test_no_socket_a_dead_socket_and_no_home_mean_that_no_daemon_runs(peer, tmp_path):
    with pytest.raises(client.NoDaemon, match="start one with `lineclear up`"):
        client.request(peer.home, "ping")
    folder = os.open(peer.home, os.O_RDONLY)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(f"/proc/self/fd/{folder}/control.sock")
    dead.close()
    os.close(folder)
    with pytest.raises(client.NoDaemon):
        client.ping(peer.home)
    with pytest.raises(client.NoDaemon, match="`lineclear init` makes one"):
        client.ping(str(tmp_path / "nowhere"))


def test_the_actor_is_the_account_unless_it_is_said(monkeypatch):
    monkeypatch.delenv("LINECLEAR_ACTOR", raising=False)
    by_account = client.actor()
    monkeypatch.setenv("LINECLEAR_ACTOR", "mina")
    assert by_account
    assert client.actor() == "mina"
