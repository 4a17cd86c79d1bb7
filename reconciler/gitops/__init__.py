"""Git's side of deciding, pure: what a revision changes, what it runs, what a person must approve."""

from __future__ import annotations

from reconciler.gitops.describe import describe_plan
from reconciler.gitops.plan import describe_identity, plan_revision, wanted_identities, wanted_runs

__all__ = ["describe_identity", "describe_plan", "plan_revision", "wanted_identities", "wanted_runs"]
