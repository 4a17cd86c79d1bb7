"""The reference page about manifests and the reader's own tables name the same fields."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.manifest import schema

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "manifests.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"[A-Za-z]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
SHAPES = {name: shape for name, shape in vars(schema).items() if isinstance(shape, schema.Shape)}
NOT_TOLD_ONE_BY_ONE = {"METADATA", "TEMPLATE_METADATA", "DOCUMENT"}
PLAIN = {"apiVersion", "kind", "metadata", "data", "status", "optional", "artifacts", "finalizers"}


@pytest.mark.parametrize("name", sorted(SHAPES.keys() - NOT_TOLD_ONE_BY_ONE))
def test_the_page_names_every_field_that_the_reader_knows(name):
    shape = SHAPES[name]
    known = shape.supported | shape.ignored | set(shape.refused)
    assert sorted(known - WORDS - PLAIN) == []
