"""The pages that are made from the code say what the code says now."""

import importlib.util
import sys
from pathlib import Path

import pytest

from reconciler.manifest import fields, schema

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))  # the script imports what lies beside it
_SPEC = importlib.util.spec_from_file_location("lineclear_docs_generate", DOCS / "generate.py")
GENERATE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(GENERATE)


@pytest.mark.parametrize("name", sorted(GENERATE.PAGES))
def test_a_generated_page_is_up_to_date(name):
    assert (GENERATE.REFERENCE / name).read_text(encoding="utf-8") == GENERATE.PAGES[name](), "run `make docs`"


def test_the_page_of_fields_has_every_table_that_authors_write_for():
    shapes = {name: shape for name, shape in vars(schema).items() if isinstance(shape, schema.Shape)}
    missing = {name for name, shape in shapes.items() if id(shape) not in fields.shapes_shown()}
    assert missing == {"STORED"}  # a frozen run's own


def test_every_case_of_locks_and_crons_has_a_test_and_every_mark_of_a_test_a_case():
    import edge_cases

    numbers = [row[0] for _, rows in edge_cases.cases() for row in rows]
    assert len(numbers) == len(set(numbers))
    assert sorted(edge_cases.marked_tests()) == sorted(numbers)
