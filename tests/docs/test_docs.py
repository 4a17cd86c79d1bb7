"""The documents: links lead somewhere, the first line about security is the one that matters, the README has the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("repo-template/**/*.md")])
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """The anchors that a renderer makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_exist(page):
    broken = []
    for target in LINK.findall(prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.is_file() or (anchor and anchor not in anchors_of(found)):
            broken.append(target)
    assert broken == []


def test_the_first_line_about_security_says_that_whoever_may_push_may_run_code():
    first = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()[0]
    assert "may push" in first
    assert "may run" in first


def test_every_page_can_be_reached_from_the_index():
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        links = [t.partition("#")[0] for t in LINK.findall(prose_of(page)) if not re.match(r"[a-z]+:", t)]
        waiting += [(page.parent / link).resolve() for link in links if link]
    pages = {p for p in PAGES if p.is_relative_to(ROOT / "docs")}
    assert sorted(str(p.relative_to(ROOT)) for p in pages - reached) == []


def test_the_readme_opens_with_the_two_commands_and_has_the_demo_between_its_marks():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [line.split("#")[0].strip() for line in text.splitlines()[1:3]] == ["make demo", "make test"]
    marks = re.search(r'MARKS = \("(.+)", "(.+)"\)', (ROOT / "docs" / "demo.py").read_text(encoding="utf-8"))
    assert marks
    assert (text.count(marks[1]), text.count(marks[2])) == (1, 1)
    assert text.index(marks[1]) < text.index(marks[2])


def test_no_page_names_a_path_of_somebody_elses_machine():
    found = [str(p) for p in PAGES if re.search(r"/(?:work|tmp|root)/", p.read_text(encoding="utf-8"))]
    assert found == []
