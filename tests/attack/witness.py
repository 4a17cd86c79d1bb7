"""The witness for a machine without a C compiler: the same lines, arguments and disguises as witness.c, and as few imports.

It must never end or signal anything but what it forked itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TICK_S = 0.02
TRACEME, DETACH, SET_NAME, SUBREAPER = 0, 17, 15, 36


class Witness:
    """Says when it lives: KIND, monotonic ns, pid, parent, start ticks, run, node, attempt, epoch, tag."""

    def __init__(self, log, tag, who):
        self.book = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.who, self.tag = who, tag

    def say(self, kind):
        with open("/proc/self/stat", "rb") as file:
            ticks = file.read().rpartition(b")")[2].split()[19].decode()
        facts = (kind, str(time.monotonic_ns()), str(os.getpid()), str(os.getppid()), ticks, *self.who, self.tag)
        os.write(self.book, ("\t".join(facts) + "\n").encode())

    def live(self, ms):
        end = time.monotonic() + ms / 1000
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, TICK_S))
            self.say("T")
        self.say("E")

    def escape(self, ms, disguises):
        """Hides as the disguises say, lives, and ends."""
        if "setsid" in disguises or "nohup" in disguises:
            os.setsid()
        if "twice" in disguises and os.fork():
            os._exit(0)
        if "subreaper" in disguises:
            call("prctl", SUBREAPER, 1, 0, 0, 0)
            if os.fork() == 0 and os.fork():
                os._exit(0)
        self.hide(disguises)
        if "traced" in disguises:
            self.be_traced(ms)
        else:
            self.say("b")
        if "stopped" in disguises:
            os.kill(os.getpid(), signal.SIGSTOP)
        self.live(ms)
        os._exit(0)

    def hide(self, disguises):
        """Changes what others can see of this process."""
        if "nohup" in disguises:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
        if "score" in disguises:
            with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
                file.write(b"0")
        if "name" in disguises:
            call("prctl", SET_NAME, b"kworker/0:1H", 0, 0, 0)
        if "descriptors" in disguises:
            os.closerange(0, self.book)
            os.closerange(self.book + 1, 1024)
        if "uid" in disguises:
            os.setresuid(65534, 65534, 65534)

    def be_traced(self, ms):
        """Goes on in a child that stands still under a tracer for half of its time."""
        child = os.fork()
        if child == 0:
            call("ptrace", TRACEME, 0, 0, 0)
            self.say("b")
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        os.waitpid(child, os.WUNTRACED)
        time.sleep(ms / 2000)
        call("ptrace", DETACH, child, 0, 0)
        os._exit(0)


def call(name, *arguments):
    """One function of the C library; imported only by those who need it."""
    import ctypes

    getattr(ctypes.CDLL(None), name)(*arguments)


def main(arguments):
    log, tag, life, *rest = arguments
    if life == "as":
        Witness(log, tag, rest[2:6]).escape(int(rest[0]), rest[1].split(","))
    names = ("LINECLEAR_RUN", "LINECLEAR_NODE", "LINECLEAR_ATTEMPT", "LINECLEAR_EPOCH")
    one = Witness(log, tag, [os.environ.get(name) or "-" for name in names])

    def end(_number, _frame):
        one.say("X")
        os._exit(143)

    signal.signal(signal.SIGTERM, end)
    one.say("B")
    if len(rest) > 1 and os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if "environment" in rest[2]:
            again = [sys.executable, "-I", "-S", __file__, log, tag, "as", rest[1], rest[2], *one.who]
            os.execve(sys.executable, again, {})
        one.escape(int(rest[1]), rest[2].split(","))
    one.live(int(life))
    return int(rest[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
