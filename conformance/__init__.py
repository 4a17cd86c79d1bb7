"""Runs a corpus of manifests, each in a private home, and says which reached the phase that its index expects."""
