"""SQLite, and only here: schema, migrations, reading slices, applying plans.

One connection of one thread writes, always in BEGIN IMMEDIATE; readers open the file with mode=ro. Nothing here decides.
"""
