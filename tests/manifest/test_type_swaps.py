"""Every field of every kind with values of other types: a clear finding with its place, or accepted; never a mistake of ours."""

from __future__ import annotations

import pytest
import swaps

from reconciler.lint import lint_files
from reconciler.manifest import parse_file, schema
from reconciler.manifest.schema import Shape
from reconciler.model.images import Images
from reconciler.model.spec import Severity
from reconciler.source.parsing import manifest_parser

DOCUMENTS = swaps.documents()
PLACES_A_PART = 60
PARTS = [
    (number, part)
    for number, data in enumerate(DOCUMENTS)
    for part in range(-(-sum(1 for _ in swaps.paths(data)) // PLACES_A_PART))
]
SHAPES = [value for value in vars(schema).values() if isinstance(value, Shape) and value is not schema.STORED]


def keys_of(data):
    for at in swaps.paths(data):
        if at and isinstance(at[-1], str):
            yield at[-1]


def test_the_manifests_are_valid_and_have_every_field_that_is_read():
    parsed = parse_file("every.yaml", "", swaps.TEXT.encode())
    found = [*parsed.findings, *lint_files([parsed], {})]
    assert [str(f) for f in found if f.severity is Severity.ERROR] == []
    given = {key for data in DOCUMENTS for key in keys_of(data)}
    assert sorted({name for shape in SHAPES for name in shape.supported} - given) == []


@pytest.mark.parametrize(("number", "part"), PARTS)
def test_a_value_of_another_type_is_told_with_its_place_or_accepted(number, part):
    """Of the values each place gets every sixth, beginning with another one; and the same place without its key."""
    data, parse = DOCUMENTS[number], manifest_parser(Images())
    places = list(swaps.paths(data))[part * PLACES_A_PART : (part + 1) * PLACES_A_PART]
    for count, at in enumerate(places, part * PLACES_A_PART):
        wrong = [swaps.swapped(data, at, value) for value in swaps.SWAPS[count % 6 :: 6]]
        for changed in [*wrong, *(swaps.keys_swapped(data, at) if at else ())]:
            text = swaps.as_text(changed)
            parsed = parse("w.yaml", "", text, False)
            for finding in parsed.findings:
                assert not finding.trace, (at, finding.trace)
                assert 1 <= finding.place.line <= text.count(b"\n") + 1, (at, str(finding))
                assert str(finding).isprintable()


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_a_wrong_document_keeps_no_other_from_being_checked(number):
    """Beside all the others: nothing that is looked at across documents fails on it."""
    others = [parse_file(f"d{n}.yaml", "", swaps.as_text(d)) for n, d in enumerate(DOCUMENTS) if n != number]
    data = DOCUMENTS[number]
    for count, at in enumerate(swaps.paths(data)):
        if count % 23 == number:
            for value in swaps.SWAPS[count % 4 :: 4]:
                wrong = parse_file("wrong.yaml", "", swaps.as_text(swaps.swapped(data, at, value)))
                found = lint_files([*others, wrong], {}, notes=True)
                assert [f.trace for f in found if f.trace] == [], at
