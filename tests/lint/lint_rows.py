"""Tables of findings: `### name`, then each file as `>>> path` and its text, then `>>>` and the findings."""

from __future__ import annotations

from pathlib import Path

from reconciler.manifest import parse_file


def parse(path: str, text: str):
    return parse_file(path, "0" * 40, text.encode())


def read_rows(name: str) -> list[tuple[str, dict[str, str], list[str]]]:
    table = (Path(__file__).parent / "data" / name).read_text(encoding="utf-8")
    rows = []
    for block in table.removeprefix("### ").split("\n### "):
        title, *parts = block.split("\n>>>")
        *files, findings = parts
        texts = {path.strip(): text + "\n" for path, _, text in (part.partition("\n") for part in files)}
        rows.append((title, texts, [line for line in findings.split("\n") if line]))
    return rows
