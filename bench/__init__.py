"""Benchmarks: each workload beside the floor (one durable commit plus one spawn) measured in the same minute.

Never part of the tests.
"""
