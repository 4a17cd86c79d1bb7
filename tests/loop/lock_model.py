"""What locks are to do, as plainly as it can be said: a list of claims and one rule; beside it the trees that make the claims."""

FINAL = ("good", "bad")


class Claim:
    def __init__(self, owner, units, seq):
        self.owner, self.job, self.units, self.seq, self.held = owner, owner.job, units, seq, False

    @property
    def rank(self):
        return (-self.job.priority, self.job.order, self.seq)


class Locks:
    """A unit is (lock, None), or (lock, ancestor) for what is passed down inside a holding ancestor: one at a time."""

    def __init__(self):
        self.limits, self.claims, self.serial = {}, [], 0

    def ask(self, owner, wants):
        self.serial += 1
        above = list(owner.ancestors())
        under = {lock: next((a for a in above if self.holds(a, lock)), None) for lock in wants}
        self.claims.append(Claim(owner, [(lock, under[lock]) for lock in sorted(wants)], self.serial))

    def holds(self, owner, lock):
        return any(c.owner is owner and c.held and lock in dict(c.units) for c in self.claims)

    def drop(self, owner):
        self.claims = [c for c in self.claims if c.owner is not owner]

    def holders(self, unit):
        return [c for c in self.claims if c.held and unit in c.units]

    def before(self, claim, unit):
        return [c for c in self.claims if not c.held and unit in c.units and c.rank < claim.rank]

    def is_full(self, unit):
        return len(self.holders(unit)) >= (self.limits.get(unit[0], 1) if unit[1] is None else 1)

    def waits_for(self, claim, job, seen):
        if claim in seen:
            return False
        seen.add(claim)
        reached = [b for unit in claim.units for b in self.before(claim, unit)]
        for holder in [h for unit in claim.units if self.is_full(unit) for h in self.holders(unit)]:
            if holder.job is job:
                return True
            reached += [c for c in self.claims if c.job is holder.job and not c.held]
        return any(self.waits_for(c, job, seen) for c in reached)

    def fits(self, claim):
        earlier = [b for unit in claim.units for b in self.before(claim, unit)]
        return not any(self.is_full(u) for u in claim.units) and all(self.waits_for(b, claim.job, set()) for b in earlier)

    def admit(self):
        waiting = sorted((c for c in self.claims if not c.held), key=lambda c: c.rank)
        found = next((c for c in waiting if self.fits(c)), None)
        if found is not None:
            found.held = True
        return found is not None


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
        self.root = Item(self, None, "", *root)

    def ancestors(self):
        return []


class Model:
    """Jobs and locks, moved on until nothing changes."""

    def __init__(self):
        self.locks, self.jobs, self.removed = Locks(), {}, set()

    def settle(self, now):
        while True:
            for job in list(self.jobs.values()):
                self._go_job(job, now)
            if not self.locks.admit():
                return
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
        if self.holds(job):
            job.state = "on"
        for item in job.root.inside():
            if item.state == "bad":
                item.state = "new"

    def holds(self, job):
        return any(c.owner is job and c.held for c in self.locks.claims)
