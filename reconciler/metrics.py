"""Answers Prometheus at a loopback address: the process's counters and the present state of the rows, read as anybody reads them.

A thread of its own, with a read-only connection for each answer: it cannot hold up a tick. That the port cannot be had is
told and stops nobody. Loaded only where the settings name an address.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from reconciler import __version__
from reconciler.errors import LineclearError
from reconciler.obs import (
    CONTENT_TYPE,
    MOST_LOCKS,
    OTHER_LOCKS,
    Family,
    Labels,
    Sample,
    Tally,
    lock_labels,
    text_of,
)
from reconciler.store import read_metrics
from reconciler.store.read import open_read

log = logging.getLogger(__name__)
SHUTDOWN_LOOK_S = 3600.0  # nobody shuts it down: it need not wake up to see
PATIENCE_S = 5.0  # with a peer that asks or takes slowly
MOST_PEERS = 16  # one more takes the place of the one that came first
_PHASES = ("Pending", "Running")


def page(tally: Tally, database: str, monotonic: Callable[[], float]) -> str:
    """All metrics as text. Raises Unreachable if the database cannot be read."""
    with closing(open_read(database)) as reader, reader:
        locks = read_metrics.list_lock_counts(reader)
        phases = read_metrics.count_open_runs(reader)
        running, queued, hindered = read_metrics.count_steps(reader)
        unknown = read_metrics.count_unknown_steps(reader)
        notices = read_metrics.count_waiting_notices(reader)
    held, pending = _by_lock(locks)
    runs = [Sample((("phase", phase),), phases.get(phase, 0)) for phase in _PHASES]
    idle_s = max(0.0, round(monotonic() - tally.looked_at, 3))
    gauges = [
        Family("lineclear_build_info", "gauge", "1, with the version.", [Sample((("version", __version__),), 1)]),
        Family("lineclear_seconds_since_look", "gauge", "Since the control thread last looked; above 10 it hangs.", _one(idle_s)),
        Family("lineclear_locks_held", "gauge", "Units of locks held now.", held),
        Family("lineclear_locks_pending", "gauge", "Claims waiting for locks now.", pending),
        Family("lineclear_runs", "gauge", "Runs that have not ended.", runs),
        Family("lineclear_steps_running", "gauge", "Steps running now.", _one(running)),
        Family("lineclear_steps_queued", "gauge", "Steps waiting for a slot.", _one(queued)),
        Family("lineclear_steps_hindered", "gauge", "Steps that wait for the machine.", _one(hindered)),
        Family("lineclear_steps_unknown", "gauge", "Steps whose end nothing proves.", _one(unknown)),
        Family("lineclear_notices_waiting", "gauge", "Notices not sent yet.", _one(notices)),
    ]
    return text_of([*gauges, *tally.families()])


def _one(value: float) -> list[Sample]:
    return [Sample((), value)]


def _by_lock(locks: list[tuple[str, int, int]]) -> tuple[list[Sample], list[Sample]]:
    """Held and pending by lock; those beyond the limit added up."""
    held: dict[Labels, int] = {}
    pending: dict[Labels, int] = {}
    for number, (key, units, waiting) in enumerate(locks):
        labels = lock_labels(key) if number < MOST_LOCKS else OTHER_LOCKS
        held[labels] = held.get(labels, 0) + units
        pending[labels] = pending.get(labels, 0) + waiting
    return [Sample(*one) for one in held.items()], [Sample(*one) for one in pending.items()]


class MetricsServer:
    """Serves `/metrics` from `start` to the end of the process. `address` is where it listens, '' if the port cannot be had."""

    def __init__(self, listen: tuple[str, int], make_page: Callable[[], str]) -> None:
        self.address = ""
        self._server: HTTPServer | None = None
        host, port = listen
        try:
            self._server = _Server(listen, make_page)
        except OSError as error:
            told = "metrics are not served: could not listen on %s port %s: %s; free it or change metrics.listen, then restart"
            log.warning(told, host, port, error.strerror or error, extra={"action": "metrics"})
            return
        port = self._server.server_address[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Begins to answer."""
        if self._server is not None:
            log.info("metrics are served at http://%s/metrics", self.address, extra={"action": "metrics"})
            serve = functools.partial(self._server.serve_forever, poll_interval=SHUTDOWN_LOOK_S)
            threading.Thread(target=serve, name="metrics", daemon=True).start()


class _Server(HTTPServer):
    """A thread for each peer, so many at most; the page is made for one of them at a time."""

    def __init__(self, listen: tuple[str, int], make_page: Callable[[], str]) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._make_page = make_page
        self._making = threading.Lock()
        self._lock = threading.Lock()
        self._peers: dict[socket.socket, None] = {}
        super().__init__(listen, _Answer)

    def make_page(self) -> str:
        """The page, as the rows are now."""
        with self._making:
            return self._make_page()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers in a thread; of too many peers the one that came first is let go."""
        with self._lock:
            if len(self._peers) >= MOST_PEERS:
                first = next(iter(self._peers))
                del self._peers[first]
                with contextlib.suppress(OSError):
                    first.shutdown(socket.SHUT_RDWR)
            self._peers[request] = None
        try:
            threading.Thread(target=self._answer, args=(request, client_address), name="scrape", daemon=True).start()
        except RuntimeError:  # no thread is to be had
            self._let_go(request)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - the boundary of an answer: the peer's doing, and nobody else's concern
            self.handle_error(request, client_address)
        finally:
            self._let_go(request)

    def _let_go(self, request: Any) -> None:
        with self._lock:
            self._peers.pop(request, None)
        self.shutdown_request(request)

    def server_bind(self) -> None:
        """Without asking for the machine's name, which may take a name server's time."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that went away, or was too slow: nobody else's concern."""
        log.debug("an answer was not taken", extra={"action": "metrics", "peer": client_address, "socket": request})


class _Answer(BaseHTTPRequestHandler):
    timeout = PATIENCE_S
    server: _Server

    def do_GET(self) -> None:
        """The page, or a line that says where it is."""
        if self.path.partition("?")[0] != "/metrics":
            self._send(404, "text/plain; charset=utf-8", "the metrics are at /metrics\n")
            return
        try:
            self._send(200, CONTENT_TYPE, self.server.make_page())
        except LineclearError as error:
            self._send(503, "text/plain; charset=utf-8", f"{error}\n")

    do_HEAD = do_GET  # noqa: N815 - the name of the base class

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Nothing: a scrape each few seconds is not news."""

    def version_string(self) -> str:
        """Who answers; not which Python."""
        return f"lineclear/{__version__}"
