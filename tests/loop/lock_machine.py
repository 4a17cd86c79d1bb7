"""Everything that people and processes can do to locks, done to the real store and to a model of it, compared after each step."""

import atexit
import os
import shutil
import tempfile

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from lock_compare import check_rows, compare, same
from lock_model import FINAL, Job, Model
from loop_harness import World, pod, spec, steps

MUTEXES = ("m0", "m1", "m2", "m3")
SEMAPHORES = ("s0", "s1")
PRIORITIES = st.sampled_from([0, 0, 0, 5, -3])
WANTS = st.frozensets(st.sampled_from((*MUTEXES[:2], *MUTEXES[:2], *MUTEXES, *SEMAPHORES)), min_size=1, max_size=4)
FEW = st.frozensets(st.sampled_from(MUTEXES[:2] + SEMAPHORES), max_size=2)
INNER_GROUP = st.lists(FEW, min_size=1, max_size=2)
BOX = st.tuples(FEW, st.lists(INNER_GROUP, min_size=1, max_size=2))
GROUP = st.tuples(st.none() | BOX, st.lists(FEW, min_size=1, max_size=3))
TREE = st.tuples(FEW, st.lists(GROUP, min_size=1, max_size=2))
WHICH = st.integers(0, 30)
KILLS = st.sampled_from([*[""] * 8, "before-commit", "after-commit"])


def shape_of(tree):
    """The tree as the model takes it: (wants, groups of (call, wants, groups)); a box comes first in its group."""
    wants, groups = tree
    found = []
    for number, (box, pods) in enumerate(groups):
        group = [(f"g{number}p{n}", inner, ()) for n, inner in enumerate(pods)]
        if box is not None:
            inside = [[(f"g{m}i{n}", inner, ()) for n, inner in enumerate(told)] for m, told in enumerate(box[1])]
            group.insert(0, (f"g{number}box", box[0], inside))
        found.append(group)
    return wants, found


def spec_of(shape, locks):
    """The same tree as a manifest."""
    templates = []

    def template(name, wants, groups):
        if not groups:
            templates.append(pod(name, *sorted(wants)))
        else:
            calls = []
            for number, group in enumerate(groups):
                calls.append([(call, f"{name}-{number}-{call}") for call, *_ in group])
                for call, inner, below in group:
                    template(f"{name}-{number}-{call}", inner, below)
            templates.append(steps(name, *calls, locks=sorted(wants)))

    template("main", *shape)
    return spec(*templates, locks=sorted(locks), entrypoint="main")


_new_database = ""


def new_database():
    """The path of an empty, migrated database, made once in this process."""
    global _new_database  # noqa: PLW0603 - a cache
    if not _new_database:
        folder = tempfile.mkdtemp(prefix="lock-machine-")
        atexit.register(shutil.rmtree, folder)
        world = World(folder)
        world.writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        world.close()
        _new_database = f"{folder}/state.db"
    return _new_database


def _has_jobs(machine):
    return bool(machine.model.jobs)


def _has_processes(machine):
    return bool(machine.model.processes())


def _has_failed(machine):
    return any(job.state == "bad" for job in machine.model.jobs.values())


def _has_failed_holder(machine):
    return any(job.state == "bad" and machine.model.holds(job) for job in machine.model.jobs.values())


def _has_holder(machine):
    return any(claim.held for claim in machine.model.locks.claims)


class LockMachine(RuleBasedStateMachine):
    """The real passes beside the model."""

    def __init__(self):
        super().__init__()
        self.world = None  # made at the start: Hypothesis makes a machine more than it runs
        self.model = Model()
        self.serial = 0
        self.seen = 0

    def teardown(self):
        if self.world is not None:
            self.world.close()
            shutil.rmtree(self.folder)

    @initialize(first=st.lists(st.tuples(WANTS, PRIORITIES), max_size=4))
    def start(self, first):
        self.folder = tempfile.mkdtemp(prefix="lock-machine-")
        shutil.copy(new_database(), self.folder)
        self.world = World(self.folder)
        self.model.locks.limits = {"s0": 1, "s1": 2}
        self.world.limits(s0=1, s1=2)
        self.prepare()
        for wants, priority in first:
            self._submit(wants, (frozenset(), ()), priority, False, "")

    def prepare(self):
        """What else stands in the repository."""

    # what happens ----------------------------------------------------------------------------------------------------

    @rule(wants=WANTS, priority=PRIORITIES, ttl=st.booleans(), kill=KILLS)
    def submit_with_workflow_locks(self, wants, priority, ttl, kill):
        self._submit(wants, (frozenset(), ()), priority, ttl, kill)

    @rule(wants=FEW, tree=TREE, priority=PRIORITIES, kill=KILLS)
    def submit_with_template_locks(self, wants, tree, priority, kill):
        self._submit(wants, shape_of(tree), priority, False, kill)

    @precondition(_has_processes)
    @rule(which=WHICH, good=st.booleans(), kill=KILLS)
    def process_ends(self, which, good, kill):
        self._end_process(which, good=good, kill=kill)

    @precondition(_has_processes)
    @rule(which=WHICH)
    def process_succeeds(self, which):
        self._end_process(which, good=True, kill="")

    @precondition(_has_processes)
    @rule(which=WHICH, kill=KILLS)
    def process_fails(self, which, kill):
        self._end_process(which, good=False, kill=kill)

    @precondition(_has_failed)
    @rule(which=WHICH, ends=WHICH)
    def retry_and_fail_again(self, which, ends):
        self.retry(which, "")
        if _has_processes(self):
            self._end_process(ends, good=False, kill="")

    @precondition(_has_processes)
    @rule(which=WHICH)
    def process_is_lost(self, which):
        item = _pick(self.model.processes(), which)
        if item is not None:
            self.world.is_lost(item.job.name, item.name)
            self.model.end(item, "bad")
            self._compare()

    @precondition(_has_jobs)
    @rule(which=WHICH, verb=st.sampled_from(["stop", "terminate"]), kill=KILLS)
    def ask_to_end(self, which, verb, kill):
        job = _pick(list(self.model.jobs.values()), which)
        if job is None:
            return
        idle = job.state in FINAL and not self.model.holds(job)
        if self._do(kill, lambda: self._ask(verb, not idle, run=job.name)) and not idle:
            if job.state in FINAL:
                self.model.locks.drop(job)
            else:
                job.ending = True
        self._compare()

    @precondition(_has_failed)
    @rule(which=WHICH, kill=KILLS)
    def retry(self, which, kill):
        job = _pick([j for j in self.model.jobs.values() if j.state == "bad"], which)
        if job is not None:
            if self._do(kill, lambda: self._ask("retry", True, run=job.name)):
                self.model.retry(job)
            self._compare()

    @precondition(_has_jobs)
    @rule(which=WHICH, force=st.sampled_from([False, False, True]))
    def delete(self, which, force):
        job = _pick(list(self.model.jobs.values()), which)
        if job is None:
            return
        self._ask("delete", force or job.state in FINAL, run=job.name, force=force)
        if job.state in FINAL:
            self.model.remove(job)
        elif force:
            job.forget = job.ending = True
        self._compare()

    @precondition(_has_failed_holder)
    @rule(which=WHICH, wants=WANTS, same=st.booleans(), priority=PRIORITIES, kill=KILLS)
    def take_over(self, which, wants, same, priority, kill):
        job = _pick([j for j in self.model.jobs.values() if j.state in FINAL and self.model.holds(j)], which)
        if job is not None:
            self._submit(job.wants if same else job.wants | wants, (frozenset(), ()), priority, False, kill, taken=job)

    @precondition(_has_holder)
    @rule(which=WHICH, right=st.booleans())
    def terminate_stuck_holder(self, which, right):
        sql = (
            "SELECT l.key, c.epoch, r.name FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id JOIN lock l ON l.id = cl.lock_id"
            " JOIN run r ON r.id = c.run_id WHERE cl.state = 'held' AND cl.nested = 0 ORDER BY l.key, c.epoch"
        )
        found = _pick(self.world.rows(sql), which)
        if found is None:
            return
        key, epoch, name = found
        self._ask("terminate_stuck_holder", right, lock=key, epoch=epoch if right else epoch + 1000, reason="test")
        if right:
            job = self.model.jobs[name]
            if job.state in FINAL:
                self.model.locks.drop(job)
            else:
                job.ending = True
        self._compare()

    @rule(name=st.sampled_from(SEMAPHORES), limit=st.integers(0, 3), kill=KILLS)
    def change_limit(self, name, limit, kill):
        limits = {**self.model.locks.limits, name: limit}
        self._do(kill, lambda: self._limits(limits), lambda: self._limits(limits))
        self.model.locks.limits = limits
        self._compare()

    @rule(seconds=st.sampled_from([1, 100, 400]))
    def time_passes(self, seconds):
        self.world.tick(seconds)
        now = self.world.clock.at
        self.model.settle(now)
        self.model.locks.lose_patience()
        for job in list(self.model.jobs.values()):
            if job.ttl and job.state in FINAL and (now - job.ended_at).total_seconds() >= job.ttl:
                self.model.remove(job)
        self._compare()

    @rule()
    def crash_and_reopen(self):
        self.world.crash()
        self._compare()

    @precondition(lambda self: len(self.model.jobs) > 6)
    @rule()
    def everything_ends(self):
        """If processes end and nothing else happens, every queue drains, but behind failed holders and closed gates."""
        for _ in range(300):
            item = _pick(self.model.processes(), 0)
            if item is None:
                return
            self._end_process(0, good=True, kill="")

    # how it is done --------------------------------------------------------------------------------------------------

    def _submit(self, wants, shape, priority, ttl, kill, *, taken=None, units=None):
        self.serial += 1
        name = f"r{self.serial:02}"
        units = units or (taken.units if taken else {})
        more = {"ttlStrategy": {"secondsAfterCompletion": 300}} if ttl else {}
        args = {"take_over": taken.name, "reason": "test"} if taken else {}
        made = {**self.manifest(shape, wants, units), **more}
        if not self._do(kill, lambda: self.world.submit(made, name, priority=priority, **args)):
            self._compare()
            return
        order = self.world.one("SELECT id FROM run WHERE name = ?", name)[0]
        if taken:
            priority, order = self.model.rank_before(taken, priority)
        job = Job(name, priority, order, wants, shape)
        job.ttl, job.units = 300 if ttl else None, units
        if taken:
            self.model.locks.drop(taken)
        self.model.jobs[name] = job
        self._compare()

    def manifest(self, shape, wants, units):
        """The run as a manifest; here nothing is taken in units."""
        return spec_of(shape, wants)

    def _end_process(self, which, *, good, kill):
        item = _pick(self.model.processes(), which)
        if item is None:
            return
        if self._do(kill, lambda: self.world.exits(item.job.name, item.name, 0 if good else 1)):
            self.model.end(item, "good" if good and not item.job.ending else "bad")
        self._compare()

    def _ask(self, verb, accepted, **args):
        reply = self.world.ask(verb, **args)
        assert (reply.error is None) == accepted, (verb, args, reply)
        assert reply.error is None or reply.error["code"] != 1, reply

    def _limits(self, values):
        if values != self.model.locks.limits:
            self.world.limits(**values)

    def _do(self, kill, act, again=None):
        """True if it was done. Killed before the commit it was not; `again` does then what Git would offer again."""
        if not kill:
            act()
            return True
        self.world.dying(kill, act)
        if kill == "before-commit" and again is not None:
            again()
        return kill == "after-commit"

    # what must be so -------------------------------------------------------------------------------------------------

    def _compare(self):
        self.model.settle(self.world.clock.at)
        compare(self.model, self.world)
        self.seen = check_rows(self.world, self.seen)
        same("rows that a sweep changes", self.world.sweep_changes(), 0)


def _pick(found, which):
    return found[which % len(found)] if found else None


def profile(programs=150):
    """Settings of a machine: few programs and the same each time, or many by HYPOTHESIS_PROFILE=deep."""
    from hypothesis import HealthCheck, settings

    quiet = {"deadline": None, "suppress_health_check": list(HealthCheck)}
    if os.environ.get("HYPOTHESIS_PROFILE") == "deep":
        return settings(max_examples=2000, stateful_step_count=80, print_blob=True, **quiet)
    return settings(max_examples=programs, stateful_step_count=40, derandomize=True, database=None, **quiet)
