"""The control thread: observe, decide, commit, act. It alone writes state.

A tick is one transaction in which passes repeat until none has anything to do; after the commit the effects make what runs agree
with what is written. Nothing is done that is not already written down.
"""
