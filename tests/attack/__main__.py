"""`make attack`: the long attacks, for as many rounds or seconds as asked for. The seed is printed; what broke ends with code 1.

Each kind of attack is a module with `campaign(budget, dice)`, which yields what broke as it finds it, and last a line of what was
done.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib
import random
import sys
import time

from attack.campaign import Budget, Done
from attack.oracle import forget_witness

KINDS = ("escapes", "kills", "faults", "manifests", "frames", "repositories")


def parse():
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them if none is named")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each kind; 0: until the time is over")
    parser.add_argument("--seconds", type=float, default=600, help="at most so long for each kind; default 600")
    parser.add_argument("--seed", default=str(time.time_ns()), help="what the dice start from")
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    return given


def main():
    given, broken = parse(), 0
    print(f"seed {given.seed}")
    atexit.register(forget_witness)
    for kind in given.kinds or KINDS:
        budget = Budget(given.rounds, given.seconds)
        dice = random.Random(f"{given.seed} {kind}")
        with contextlib.closing(importlib.import_module(f"attack.{kind}").campaign(budget, dice)) as said:
            for word in said:
                broken += not isinstance(word, Done)
                print(f"{kind}: {word}", flush=True)
    print(f"{broken} things broke" if broken else "nothing broke")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
