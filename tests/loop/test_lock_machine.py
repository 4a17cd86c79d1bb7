"""Locks agree with a model of them, whatever people and processes do and wherever the daemon dies."""

from lock_machine import LockMachine, profile
from policy_machine import PolicyMachine

TestLocks = LockMachine.TestCase
TestLocks.settings = profile()

TestPolicies = PolicyMachine.TestCase
TestPolicies.settings = profile(60)
