"""What locks are to do, as plainly as it can be said: a list of claims and one rule; beside it the trees that make the claims."""

from datetime import timedelta

FINAL = ("good", "bad")


class Policy:
    """What a lock has besides its limit: places, patience, how often a waiter is passed, what failures and circles do to it."""

    def __init__(self, *, places=None, drops=0, wait_s=None, overtake=0, on_failure="Hold", fails_youngest=False):
        self.places, self.drops, self.wait_s, self.overtake = places, drops, wait_s, overtake  # drops: how many earlier waiters
        self.on_failure, self.fails_youngest = on_failure, fails_youngest


PLAIN = Policy()


class Claim:
    def __init__(self, owner, units, seq, until):
        self.owner, self.job, self.units, self.seq, self.held = owner, owner.job, units, seq, False
        self.until, self.overtaken = until, 0

    @property
    def rank(self):
        return (-self.job.priority, self.job.order, self.seq)


class Locks:
    """A unit is (lock, None), or (lock, ancestor) for what is passed down inside a holding ancestor: one at a time."""

    def __init__(self):
        self.limits, self.claims, self.serial, self.policies, self.now, self.refused = {}, [], 0, {}, None, False

    def policy(self, lock):
        return self.policies.get(lock, PLAIN)

    def ask(self, owner, wants):
        self.serial += 1
        above = list(owner.ancestors())
        under = {lock: next((a for a in above if self.holds(a, lock)), None) for lock in wants}
        patience = [self.policy(lock).wait_s for lock in wants if self.policy(lock).wait_s and under[lock] is None]
        until = self.now + timedelta(seconds=min(patience)) if patience else None
        claim = Claim(owner, [(lock, under[lock]) for lock in sorted(wants)], self.serial, until)
        self.claims.append(claim)
        full = [lock for lock in wants if self._is_over(claim, lock)]
        going = {lock: [c for c in self.claims if not c.held and c is not claim and (lock, None) in c.units] for lock in full}
        going = {lock: found[: self.policy(lock).drops] for lock, found in going.items()}
        if all(going.values()):
            for other in {c for found in going.values() for c in found}:
                self.refuse(other)
        else:
            self.refuse(claim)

    def _is_over(self, claim, lock):
        places = self.policy(lock).places
        entries = [c for c in self.claims if (lock, None) in c.units]
        return places is not None and claim in entries and len(entries) > places

    def refuse(self, claim):
        """What asked is to end; only whole runs ask for locks whose policies refuse."""
        assert claim.owner is claim.job
        self.claims.remove(claim)
        claim.job.ending = self.refused = True

    def lose_patience(self):
        for claim in [c for c in self.claims if not c.held and c.until is not None and c.until <= self.now]:
            self.refuse(claim)

    def fail(self, owner):
        """An owner that failed by itself keeps what the policies let it keep."""
        for claim in [c for c in self.claims if c.owner is owner]:
            claim.units = [unit for unit in claim.units if self.policy(unit[0]).on_failure == "Hold"]
            if not claim.units:
                self.claims.remove(claim)

    def holds(self, owner, lock):
        return any(c.owner is owner and c.held and lock in dict(c.units) for c in self.claims)

    def drop(self, owner):
        self.claims = [c for c in self.claims if c.owner is not owner]

    def holders(self, unit):
        return [c for c in self.claims if c.held and unit in c.units]

    def before(self, claim, unit):
        return [c for c in self.claims if not c.held and unit in c.units and c.rank < claim.rank]

    def lacks_room(self, unit, job):
        taken = sum(c.job.units.get(unit[0], 1) for c in self.holders(unit)) if unit[1] is None else len(self.holders(unit))
        wanted, limit = (job.units.get(unit[0], 1), self.limits.get(unit[0], 1)) if unit[1] is None else (1, 1)
        return taken + wanted > limit

    def may_pass(self, claim, unit):
        """Nobody waits before it, or the policy lets it pass them all once more, or they all wait for its own run."""
        before, most = self.before(claim, unit), self.policy(unit[0]).overtake if unit[1] is None else 0
        return (most and all(b.overtaken < most for b in before)) or all(self.waits_for(b, claim.job, set()) for b in before)

    def waits_for(self, claim, job, seen):
        if claim in seen:
            return False
        seen.add(claim)
        reached = [b for unit in claim.units for b in self.before(claim, unit)]
        for holder in [h for unit in claim.units if self.lacks_room(unit, claim.job) for h in self.holders(unit)]:
            if holder.job is job:
                return True
            reached += [c for c in self.claims if c.job is holder.job and not c.held]
        return any(self.waits_for(c, job, seen) for c in reached)

    def fits(self, claim):
        return not any(self.lacks_room(u, claim.job) for u in claim.units) and all(self.may_pass(claim, u) for u in claim.units)

    def admit(self):
        waiting = sorted((c for c in self.claims if not c.held), key=lambda c: c.rank)
        found = next((c for c in waiting if self.fits(c)), None)
        if found is not None:
            passed = {b for u in found.units if u[1] is None and self.policy(u[0]).overtake for b in self.before(found, u)}
            for waiter in passed:
                waiter.overtaken += 1
            found.held = True
        return found is not None

    def circle(self):
        """Runs that hold one lock that may end them and wait for another, each held by the next; [] if there are none."""
        held = {lock: c.job for c in self.claims if c.held for lock, _ in c.units if self.policy(lock).fails_youngest}
        waits = {c.job: lock for c in self.claims if not c.held for lock, _ in c.units if self.policy(lock).fails_youngest}
        for start in waits:
            way = [start]
            while way[-1] in waits and waits[way[-1]] in held:
                following = held[waits[way[-1]]]
                if following is start:
                    return way
                if following in way:
                    break
                way.append(following)
        return []


class Item:
    """A node: a process, or a box of groups one after the other."""

    def __init__(self, job, above, name, wants, groups=()):
        self.job, self.above, self.name, self.wants, self.state = job, above, name, wants, "new"
        self.groups = [
            [Item(job, self, f"{name}[{n}].{call}", *told) for call, *told in group] for n, group in enumerate(groups)
        ]

    def ancestors(self):
        return ([self.above, *self.above.ancestors()] if self.above else [self.job]) if self is not self.job else []

    def inside(self):
        return [self, *(x for group in self.groups for item in group for x in item.inside())]


class Job:
    """A run. `root` is (wants, groups)."""

    def __init__(self, name, priority, order, wants, root):
        self.name, self.priority, self.order, self.wants, self.job = name, priority, order, wants, self
        self.state, self.ending, self.forget, self.ttl, self.ended_at = "new", False, False, None, None
        self.units = {}  # of locks of which it takes more than one unit
        self.root = Item(self, None, "", *root)

    def ancestors(self):
        return []


class Model:
    """Jobs and locks, moved on until nothing changes."""

    def __init__(self):
        self.locks, self.jobs, self.removed = Locks(), {}, set()

    def settle(self, now):
        self.locks.now = now
        while True:
            self.locks.refused = False
            for job in list(self.jobs.values()):
                self._go_job(job, now)
            if self.locks.refused:
                continue
            if not self.locks.admit():
                circle = self.locks.circle()
                if not circle or any(job.ending for job in circle):
                    return
                min(circle, key=lambda job: (job.priority, -job.order)).ending = True
            while self.locks.admit():
                pass

    def _may_start(self, owner, wants):
        if owner.state == "new" and wants:
            owner.state = "asking"
            self.locks.ask(owner, wants)
        return owner.state == "new" or all(c.held for c in self.locks.claims if c.owner is owner)

    def _go_job(self, job, now):
        if job.state in FINAL:
            return
        if job.state != "on" and job.ending:
            self._go(job.root)
            self._end_job(job, "bad", now)
        elif job.state == "on" or self._may_start(job, job.wants):
            job.state = "on"
            self._go(job.root)
            if job.root.state in FINAL:
                self._end_job(job, job.root.state, now)

    def _end_job(self, job, state, now):
        job.state, job.ended_at = state, now
        if state == "good" or job.ending:
            self.locks.drop(job)
        else:
            self.locks.fail(job)
        if job.forget:
            self.remove(job)

    def remove(self, job):
        self.locks.drop(job)
        del self.jobs[job.name]
        self.removed.add(job.name)

    def _go(self, item):
        if item.state in FINAL:
            return
        if item.job.ending:
            self._halt(item)
            return
        if item.state != "on":
            if not self._may_start(item, item.wants):
                return
            item.state = "on"
        for group in item.groups:
            for inner in group:
                self._go(inner)
            if any(inner.state not in FINAL for inner in group):
                return
            if any(inner.state == "bad" for inner in group):
                self.end(item, "bad")
                return
        if item.groups:
            self.end(item, "good")

    def _halt(self, item):
        inner = [x for group in item.groups for x in group]
        for x in inner:
            if x.state != "new":
                self._go(x)
        if item.state != "on" or (item.groups and all(x.state in (*FINAL, "new") for x in inner)):
            self.end(item, "bad")

    def end(self, item, state):
        item.state = state
        self.locks.drop(item)

    def processes(self):
        """Every process that is to be running."""
        return [x for job in self.jobs.values() for x in job.root.inside() if x.state == "on" and not x.groups]

    def retry(self, job):
        job.state, job.ending, job.ended_at = "new", False, None
        if self.locks_of(job) == job.wants and job.wants:
            job.state = "on"
        elif self.holds(job):  # all or none: what it has becomes the first place
            job.priority, job.order = self.rank_before(job, job.priority)
            self.locks.drop(job)
        for item in job.root.inside():
            if item.state == "bad":
                item.state = "new"

    def rank_before(self, job, priority):
        """A priority and a place ahead of everyone who waits for what a job holds."""
        units = {u for c in self.locks.claims if c.owner is job for u in c.units}
        behind = [c.job for c in self.locks.claims if not c.held and units & set(c.units)]
        priority = max([priority, job.priority, *(j.priority for j in behind)])
        return priority, min([job.order, *(j.order - 1 for j in behind if j.priority == priority)])

    def locks_of(self, job):
        return {lock for c in self.locks.claims if c.owner is job and c.held for lock, _ in c.units}

    def holds(self, job):
        return any(c.owner is job and c.held for c in self.locks.claims)
