"""The functions under `sprig.`: those of the sprig library that give the same for the same arguments. Owns the table SPRIG.

Argo: docs/variables.md, which takes sprig's functions without `env`. Left out are also those that read a clock other than
`__now__`, make keys or random values, look into the network or the file system.
"""

from __future__ import annotations

from reconciler.expr import sprig_data, sprig_numbers, sprig_text
from reconciler.expr.registry import Table

SPRIG = Table("sprig.")
sprig_text.register(SPRIG)
sprig_numbers.register(SPRIG)
sprig_data.register(SPRIG)
