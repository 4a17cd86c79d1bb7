"""Errors, named by what happens next. Waiting is a value, never an error.

The message grammar is: what could not be done: why, with the value seen; what to do.
"""

from __future__ import annotations


class LineclearError(Exception):
    """Base of every error that is raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1


class ManifestError(LineclearError):
    """A person edits Git: the manifest is wrong. The message starts with path:line:column."""

    exit_code = 2


class UsageError(LineclearError):
    """The command was called wrongly, or a setting is wrong."""

    exit_code = 2


class NotFound(LineclearError):
    """The named object does not exist; the message lists what does, where that is short."""

    exit_code = 3


class Refused(LineclearError):
    """An operator's command no longer fits: the state changed or a rule forbids it. The message says which."""

    exit_code = 4


class Forbidden(Refused):
    """A concurrency policy forbids a run while another of its group is active."""


class Conflict(LineclearError):
    """A guarded write found another state than it expected: read again, decide again."""

    exit_code = 4


class Unreachable(LineclearError):
    """The daemon or the store did not answer."""

    exit_code = 5


class TimedOut(LineclearError):
    """A limit on waiting passed."""

    exit_code = 6


class QueueFull(LineclearError):
    """A queue limit would be passed."""

    exit_code = 7


class Transient(LineclearError):
    """The outside failed in a way that may pass: tried again with back-off."""

    exit_code = 5


class InvariantViolated(LineclearError):
    """A bug: the object is quarantined and the loop goes on."""
