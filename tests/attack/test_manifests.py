"""Documents that aim at cost: the known kinds, and some that the dice make. Thousands, against narrower bounds: `make attack`.

The bounds here are wide, because the machine that runs the tests may be busy; what is without bound breaks them all the same.
"""

import itertools
import random

from attack.documents import SHAPES, generate, shrink
from attack.manifests import attack_many

TICK_S = 5.0


def document(name, templates):
    spec = {"entrypoint": "main", "templates": templates}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}


def known():
    """The small documents that once held everybody up."""
    leaf = {"name": "leaf", "suspend": {}}
    names = ["main", *(f"t{level}" for level in range(1, 40)), "leaf"]
    pairs = itertools.pairwise(names)
    diamond = [{"name": own, "steps": [[{"name": c, "template": below} for c in "abc"]]} for own, below in pairs]
    yield document("diamond", [*diamond, leaf])
    yield document("itself", [{"name": "main", "steps": [[{"name": c, "template": "main"} for c in "abc"]]}])
    loop = {"name": "l", "template": "leaf", "withSequence": {"count": "10000"}}
    yield document("loop", [{"name": "main", "steps": [[loop]]}, leaf])


def test_no_small_document_holds_up_the_daemon_or_others(seed):
    dice = random.Random(f"{seed} documents")
    bodies = [*known(), *(generate(dice, f"g{number}") for number in range(8))]

    broken = [(found, body) for body, found, _ in attack_many(bodies, TICK_S, 0.5) if found]

    assert broken == []


def test_each_shape_can_be_made_smaller_and_stays_a_document():
    for shape in SHAPES:
        body = generate(random.Random(shape.__name__), "x", [shape])
        smaller = next(shrink(body["spec"]))
        assert smaller != body["spec"]
