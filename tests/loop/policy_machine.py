"""The same machine with policies: places, patience, passing, units, what a failure lets go, and circles that are broken."""

from hypothesis import strategies as st
from hypothesis.stateful import rule
from lock_machine import KILLS, PRIORITIES, LockMachine, spec_of
from lock_model import Policy

OWN = "lineclear.dev/v1alpha1"
POLICIES = {  # what the model is told, and what the manifest says
    "reject": (Policy(places=3), {"queueLimit": 3}),
    "drop": (Policy(places=3, drops=1), {"queueLimit": 3, "overflow": "DropOldest"}),
    "latest": (Policy(places=2, drops=99), {"queueLimit": 2, "overflow": "KeepLatest"}),
    "wait": (Policy(wait_s=300), {"waitLimit": "5m"}),
    "pass": (Policy(overtake=2), {"order": "Overtake", "overtakeAtMost": 2}),
    "let-go": (Policy(on_failure="Release"), {"onFailure": "Release"}),
    "young": (Policy(fails_youngest=True), {"deadlock": "FailYoungest"}),
}
LOCKS = tuple(name for name in POLICIES if name != "young")
YOUNG = ("young0", "young1", "young2")
UNITS = "licences"
WANTS = st.frozensets(st.sampled_from((*LOCKS, "pass", "let-go", "m0", "m0")), min_size=1, max_size=3)
NOTHING = frozenset()


def policy(name, pattern, fields):
    return {"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": name}, "spec": {"locks": [pattern], **fields}}


class PolicyMachine(LockMachine):
    """Whole runs ask for locks with policies; steps ask for those whose circles are broken."""

    def prepare(self):
        locks = self.model.locks
        locks.policies = {name: POLICIES[name][0] for name in LOCKS} | dict.fromkeys(YOUNG, POLICIES["young"][0])
        locks.policies[UNITS] = Policy(on_failure="Release")
        manifests = [policy(name, "young*" if name == "young" else name, told) for name, (_, told) in POLICIES.items()]
        capacity = {"apiVersion": OWN, "kind": "ResourceConstraint", "metadata": {"name": UNITS}, "spec": {"capacity": 4}}
        self.world.push(*manifests, capacity, path="policies.yaml")
        locks.limits = {**locks.limits, UNITS: 4}

    @rule(wants=WANTS, priority=PRIORITIES, kill=KILLS)
    def submit_under_policies(self, wants, priority, kill):
        self._submit(wants, (NOTHING, ()), priority, False, kill)

    @rule(wants=st.sampled_from([NOTHING, frozenset({"pass"}), frozenset({"m0"})]), units=st.integers(1, 4), kill=KILLS)
    def submit_with_units(self, wants, units, kill):
        self._submit(wants | {UNITS}, (NOTHING, ()), 0, False, kill, units={UNITS: units})

    @rule(first=st.sampled_from(YOUNG), then=st.sampled_from(YOUNG), priority=PRIORITIES, kill=KILLS)
    def submit_what_may_close_a_circle(self, first, then, priority, kill):
        groups = [[("g0p0", NOTHING, ())], [("g1p0", frozenset({then}), ())]]
        self._submit(frozenset({first}), (NOTHING, groups), priority, False, kill)

    @rule(lock=st.sampled_from(LOCKS), count=st.integers(3, 5))
    def a_crowd_comes(self, lock, count):
        self._come(*[{lock}] * count)

    @rule(count=st.integers(1, 5))
    def many_pass_one_that_cannot_go(self, count):
        self._come({"m0"}, {"pass", "m0"})
        for _ in range(count):
            (name,) = self._come({"pass"})
            self._finish(name)

    @rule(one=st.sampled_from(["m0", "m1", "wait"]), other=st.sampled_from(["m2", "m3", "let-go"]))
    def one_end_frees_two_locks(self, one, other):
        holder, *_ = self._come({one, other}, {"pass", other}, {one, "pass"})
        self._finish(holder)

    @rule()
    def a_failed_run_that_kept_a_part_is_retried(self):
        (name,) = self._come({"let-go", "m3"})
        self._finish(name, good=False)
        self._come({"let-go"})
        if self.model.jobs[name].state == "bad":
            self._ask("retry", True, run=name)
            self.model.retry(self.model.jobs[name])
            self._compare()

    @rule(count=st.integers(2, 3), priorities=st.lists(PRIORITIES, min_size=3, max_size=3))
    def a_circle_closes(self, count, priorities):
        first = self.serial + 1
        for number in range(count):
            self.submit_what_may_close_a_circle(YOUNG[number], YOUNG[(number + 1) % count], priorities[number], "")
        for number in range(count):
            self._finish(f"r{first + number:02}")

    def _come(self, *wants):
        """Runs of one process each, one after the other; their names."""
        first = self.serial + 1
        for wanted in wants:
            self._submit(frozenset(wanted), (NOTHING, ()), 0, False, "")
        return [f"r{first + number:02}" for number in range(len(wants))]

    def _finish(self, name, *, good=True):
        """The process of a run ends, if it runs."""
        found = [number for number, item in enumerate(self.model.processes()) if item.job.name == name]
        if found:
            self._end_process(found[0], good=good, kill="")

    def manifest(self, shape, wants, units):
        made = spec_of(shape, wants - {UNITS})
        if units:
            annotations = {"lineclear.dev/resource-constraints": f"{UNITS}={units[UNITS]}"}
            made["workflowMetadata"] = {"annotations": annotations}
        return made

    def _limits(self, values):
        super()._limits({name: limit for name, limit in values.items() if name != UNITS})
