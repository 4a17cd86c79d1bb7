"""/metrics of a real daemon, held against the text format to the letter, while runs go on."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import socket
import sqlite3
import threading

import pytest

from reconciler.errors import LineclearError
from reconciler.obs import Counted, Family, Sample, Tally, text_of
from reconciler.store import read_metrics

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
PAIR = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{PAIR},?)*)\}})? (-?(?:[0-9.]+(?:e[-+]?[0-9]+)?)|[+-]Inf|NaN)")
UNESCAPE = {r"\"": '"', r"\\": "\\", r"\n": "\n"}


def parse(text):
    """Family -> {labels: value}, of a page that keeps every rule: headings first, samples together, no series twice."""
    assert text.endswith("\n")
    kinds, found, current = {}, {}, ""
    lines = text.splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert current not in found
            found[current] = {}
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert (name, before.split(" ")[:3]) == (current, ["#", "HELP", current])
            assert kind in ("counter", "gauge", "histogram")
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
        else:
            name, labels, value = sample_of(line)
            suffix = name.removeprefix(current)
            assert suffix in (("_bucket", "_sum", "_count") if kinds[current] == "histogram" else ("",)), line
            key = (suffix, *labels)
            assert key not in found[current], line
            found[current][key] = value
    for name, kind in kinds.items():
        if kind == "histogram":
            check_histogram(found[name])
    return found


def sample_of(line):
    match = SAMPLE.fullmatch(line)
    assert match, line
    pairs = re.findall(PAIR, match[2] or "")
    assert ",".join(f'{name}="{value}"' for name, value in pairs) == (match[2] or ""), line
    labels = [(name, re.sub(r"\\.", lambda found: UNESCAPE[found[0]], value)) for name, value in pairs]
    assert len(dict(labels)) == len(labels), line
    return match[1], labels, float(match[5])


def check_histogram(samples):
    """Limits rise, counts do not fall, the last is +Inf and equals the count."""
    series = {}
    for (suffix, *labels), value in samples.items():
        plain = tuple(pair for pair in labels if pair[0] != "le")
        series.setdefault(plain, {"_bucket": [], "_sum": None, "_count": None})
        if suffix == "_bucket":
            series[plain]["_bucket"].append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
        else:
            series[plain][suffix] = value
    for one in series.values():
        limits, counts = zip(*one["_bucket"], strict=True)
        assert list(limits) == sorted(set(limits))
        assert limits[-1] == float("inf")
        assert list(counts) == sorted(counts)
        assert counts[-1] == one["_count"]
        assert one["_sum"] >= 0


class Metrics:
    """The page of one home's daemon."""

    def __init__(self, home):
        self.home = home

    def start(self, listen="127.0.0.1:0"):
        self.home.set_up(f'[metrics]\nlisten = "{listen}"\n')
        self.home.daemon.start()
        self.host, self.port = re.findall(r"http://\[?([^\]/]+?)\]?:(\d+)/metrics", self.home.daemon.said())[-1]

    def get(self, path="/metrics", method="GET"):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=20)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def read(self):
        status, headers, text = self.get()
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return parse(text)


@pytest.fixture
def metrics(home):
    return Metrics(home)


def lock(kind, name, storage="configmap"):
    return ("", ("type", kind), ("storage", storage), ("lock_name", name), ("namespace", "default"))


def test_locks_waits_promotions_and_refusals_are_counted(home, book, metrics, until):
    metrics.start()
    gate = home.folder / "gate"
    home.push({"limits.yaml": book.limits(s=2)})
    home.submit(book.workflow("first", f"until [ -e {gate} ]; do sleep 0.02; done", mutexes=["a"], semaphores=["s"]))
    home.submit(book.workflow("second", mutexes=["a"], code=3))
    home.submit(book.workflow("third", mutexes=["a"]))
    until(lambda: metrics.read()["lineclear_steps_running"] == {("",): 1}, "the first step")
    now = metrics.read()
    assert now["lineclear_locks_held"] == {lock("mutex", "a"): 1, lock("semaphore", "limits/s"): 1}
    assert now["lineclear_locks_pending"] == {lock("mutex", "a"): 2, lock("semaphore", "limits/s"): 0}
    assert now["lineclear_runs"] == {("", ("phase", "Pending")): 2, ("", ("phase", "Running")): 1}
    assert now["lineclear_promotions_total"] == {("", ("type", "mutex")): 0, ("", ("type", "semaphore")): 0}
    gate.touch()
    home.wait_phase("second", "Failed")
    for name in ("third", "nobody"):
        with pytest.raises(LineclearError, match=r"only a Failed|not in namespace"):
            home.ask("retry", run=name)
    home.ask("terminate", run="second")
    home.wait_phase("third", "Succeeded")
    until(lambda: metrics.read()["lineclear_locks_held"] == {}, "free locks")
    after = metrics.read()
    assert after["lineclear_locks_taken_total"] == {lock("mutex", "a"): 3, lock("semaphore", "limits/s"): 1}
    assert after["lineclear_promotions_total"] == {("", ("type", "mutex")): 2, ("", ("type", "semaphore")): 0}
    assert after["lineclear_lock_wait_seconds"][("_count", ("type", "mutex"))] == 3
    assert after["lineclear_lock_hold_seconds"][("_count", ("type", "mutex"))] == 3
    assert after["lineclear_lock_hold_seconds"][("_sum", ("type", "mutex"))] > 0
    assert after["lineclear_refusals_total"] == {("", ("reason", "not-found")): 1, ("", ("reason", "refused")): 1}
    ticks = after["lineclear_ticks_total"]
    assert ticks[("", ("outcome", "committed"))] == after["lineclear_tick_seconds"][("_count",)] > 5
    assert ticks[("", ("outcome", "rolled-back"))] == 0
    assert after["lineclear_seconds_since_look"][("",)] < 30


def test_a_refused_push_is_counted(home, metrics):
    metrics.start()
    assert home.push({"bad.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n"}, check=False).returncode != 0
    assert metrics.read()["lineclear_refusals_total"] == {("", ("reason", "push")): 1}


def test_every_page_is_well_formed_and_no_counter_falls_while_runs_go_on(home, book, metrics):
    metrics.start()
    over, pages = threading.Event(), []

    def scrape():
        while not over.is_set():
            pages.append(metrics.read())

    scraping = threading.Thread(target=scrape)
    scraping.start()
    try:
        for number in range(12):
            home.submit(book.workflow(f"run-{number}", mutexes=[f"m{number % 3}"]))
        for number in range(12):
            assert home.wait_phase(f"run-{number}") == "Succeeded"
    finally:
        over.set()
        scraping.join()
    assert len(pages) > 5
    for earlier, later in itertools.pairwise(pages):
        for name in (name for name in earlier if name.endswith("_total")):
            assert all(later[name][key] >= value for key, value in earlier[name].items())
    assert sum(metrics.read()["lineclear_locks_taken_total"].values()) == 12


def test_a_scrape_that_hangs_or_a_reader_that_goes_away_holds_up_no_run(home, book, metrics):
    metrics.start()
    with socket.create_connection((metrics.host, int(metrics.port))) as silent:
        silent.sendall(b"GET /metr")
        home.submit(book.workflow("one", mutexes=["a"]))
        assert home.wait_phase("one") == "Succeeded"
    assert metrics.read()["lineclear_build_info"]


def test_silent_peers_delay_nobody_and_too_many_of_them_lose_the_oldest(metrics):
    metrics.start()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((metrics.host, int(metrics.port)))) for _ in range(40)]
        for line in silent:
            line.sendall(b"GET /metr")
        assert metrics.read()["lineclear_build_info"]
        silent[0].settimeout(30)
        assert silent[0].recv(100) == b""


def test_nothing_but_the_page_is_there_and_it_is_only_read(home, metrics):
    metrics.start("[::1]:0" if socket.has_ipv6 and is_bindable("::1") else "127.0.0.1:0")
    assert metrics.get("/")[0] == 404
    assert metrics.get("/metrics?name=x", "HEAD")[2] == ""
    assert metrics.get(method="POST")[0] == 501
    assert metrics.read()["lineclear_runs"]


def is_bindable(host):
    with socket.socket(socket.AF_INET6) as one:
        try:
            one.bind((host, 0))
        except OSError:
            return False
    return True


def test_a_port_in_use_is_told_and_the_daemon_goes_on_without_it(home, book):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.set_up(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
        home.daemon.start()
        assert f"could not listen on 127.0.0.1 port {port}: Address already in use" in home.daemon.said()
        home.submit(book.workflow("one"))
        assert home.wait_phase("one") == "Succeeded"
        assert home.daemon.stop() == 0


def test_without_the_setting_the_daemon_listens_at_no_port(home):
    home.daemon.start()
    assert "metrics are served" not in home.daemon.said()
    assert listening(home.daemon.pid) == set()


def test_the_port_is_open_on_a_loopback_address_alone(home, metrics):
    metrics.start()
    assert listening(home.daemon.pid) == {("0100007F", int(metrics.port))}


def listening(pid):
    """(address, port) of the IPv4 ports that the process listens at; the address as the kernel writes it."""
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    own = sockets_of(pid)
    return {(row[1][:8], int(row[1][9:], 16)) for row in rows if row[3] == "0A" and row[9] in own}


def sockets_of(pid):
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")))
    return found


def test_locks_beyond_the_limit_are_added_up_and_odd_names_are_escaped(tmp_path):
    tally = Tally()
    tally.add_tick([Counted("granted", f"default/Mutex/m{number}", 0.5) for number in range(300)], 0.01)
    tally.add_tick([Counted("granted", "default/Mutex/m299"), Counted("granted", "default/Mutex/m0")], 0.01)
    taken = parse(text_of(tally.families()))["lineclear_locks_taken_total"]
    assert len(taken) == 201
    assert taken[("", ("type", "other"), ("storage", ""), ("lock_name", ""), ("namespace", ""))] == 101
    assert taken[lock("mutex", "m0")] == 2
    odd = 'a\\b"c\nd}{,='
    page = text_of([Family("x", "gauge", odd, [Sample((("name", odd),), 1.5)])])
    assert parse(page) == {"x": {("", ("name", odd)): 1.5}}


def test_ticks_of_crons_count_by_decision_locks_by_kind_and_refusals_by_reason():
    tally = Tally()
    kinds = ("Mutex/a", "ConfigMap/limits/a", "DatabaseMutex/a", "Database/a", "Policy/c", "Constraint/c")
    events = [Counted("tick", "missed", times=7), Counted("tick", "ran"), *(Counted("granted", f"ns/{key}") for key in kinds)]
    tally.add_tick([*events, Counted("released", "ns/Mutex/a", 100.0)], 0.002)
    tally.add_tick([Counted("refused", "queue-full")], 0.002)
    tally.add_failed_tick()
    found = parse(text_of(tally.families()))
    assert found["lineclear_cron_ticks_total"] == {("", ("decision", "missed")): 7, ("", ("decision", "ran")): 1}
    assert [(dict(key[1:])["type"], dict(key[1:])["storage"]) for key in found["lineclear_locks_taken_total"]] == [
        ("constraint", ""), ("mutex", "configmap"), ("mutex", "database"), ("policy", ""), ("semaphore", "configmap"),
        ("semaphore", "database"),
    ]  # fmt: skip
    assert found["lineclear_refusals_total"] == {("", ("reason", "queue-full")): 1}
    buckets = {dict(key[1:]).get("le"): value for key, value in found["lineclear_lock_hold_seconds"].items()}
    assert (buckets["60"], buckets["300"]) == (0, 1)
    assert found["lineclear_ticks_total"][("", ("outcome", "rolled-back"))] == 1


def test_what_is_read_for_a_page_costs_what_is_open(home, book):
    home.daemon.start()
    home.submit(book.workflow("one", mutexes=["a"]))
    home.wait_phase("one")
    statements = [text for text in vars(read_metrics).values() if isinstance(text, str) and text.lstrip().startswith("SELECT")]
    assert len(statements) == 5
    with contextlib.closing(sqlite3.connect(f"file:{home.root}/state.db?mode=ro", uri=True)) as db:
        plans = [row[3] for text in statements for row in db.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert [plan for plan in plans if re.fullmatch(r"SCAN (?!found|CONSTANT)\w+", plan)] == []
