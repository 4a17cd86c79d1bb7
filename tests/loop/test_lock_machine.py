"""Locks agree with a model of them, whatever people and processes do and wherever the daemon dies."""

from lock_machine import LockMachine, profile

TestLocks = LockMachine.TestCase
TestLocks.settings = profile()
