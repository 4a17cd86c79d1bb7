"""The pictures in the docs are what the screen draws now."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_SPEC = importlib.util.spec_from_file_location("lineclear_docs_pictures", DOCS / "pictures.py")
PICTURES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(PICTURES)


@pytest.mark.parametrize("name", sorted(PICTURES.SCENES))
def test_a_picture_is_what_the_screen_draws_now(name, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLORFGBG", raising=False)
    drawn = (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn == PICTURES.draw(name) + "\n", "run `make pictures` and look at them"
    assert "url(" not in drawn.replace("url(#", "")


def test_every_picture_is_drawn_from_a_scene():
    assert {path.stem for path in (DOCS / "pictures").glob("*.svg")} == set(PICTURES.SCENES)
