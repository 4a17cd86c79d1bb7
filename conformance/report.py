"""What the results say: the CSV with one line for each row, and a summary for people."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from conformance.rows import Result

COLUMNS = ("file", "expected", "got", "seconds", "reason", "tier", "class", "confidence")
VERDICTS = ("right", "wrong", "refused")


def write_csv(path: Path, results: Iterable[Result]) -> None:
    """The results in the order given."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for result in results:
            row = result.row
            about = (row.tier, row.row_class, row.confidence)
            writer.writerow((row.name, row.expected, result.got, f"{result.seconds:.2f}", result.reason, *about))


def percent(results: Sequence[Result]) -> float:
    """How many of the results are right, in percent; 100 of none."""
    return 100 * sum(result.verdict == "right" for result in results) / len(results) if results else 100.0


def decidable(results: Iterable[Result]) -> list[Result]:
    """The results of rows whose one phase is known with some confidence: one-shot, Succeeded, Failed or Error."""
    return [result for result in results if result.row.is_decidable]


def summary(results: Sequence[Result], notes: Iterable[str]) -> str:
    """Counts by tier and expected phase, then the percentages of decidable rows."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for result in results:
        counts.setdefault((result.row.tier, result.row.expected), Counter())[result.verdict] += 1
    lines = [f"{'tier':<6}{'expected':<24}" + "".join(f"{verdict:>9}" for verdict in VERDICTS)]
    for (tier, expected), found in sorted(counts.items()):
        lines.append(f"{tier:<6}{expected:<24}" + "".join(f"{found[verdict]:>9}" for verdict in VERDICTS))
    total = Counter(result.verdict for result in results)
    lines.append(f"{'all':<6}{'':<24}" + "".join(f"{total[verdict]:>9}" for verdict in VERDICTS))
    lines.append("")
    known = decidable(results)
    parts = [("decidable rows", known)]
    parts += [(f"  tier {tier}", [r for r in known if r.row.tier == tier]) for tier in sorted({r.row.tier for r in known})]
    parts += [(f"  expected {phase}", [r for r in known if r.row.expected == phase]) for phase in _phases(known)]
    parts.append(("  that need a file system of their own", [r for r in known if r.row.needs_isolation]))
    parts.append(("  the others", [r for r in known if not r.row.needs_isolation]))
    lines += [f"{name:<40}{_share(part)}" for name, part in parts]
    return "\n".join([*lines, *(f"note: {note}" for note in notes if note)]) + "\n"


def _phases(results: Iterable[Result]) -> list[str]:
    return sorted({result.row.expected for result in results})


def _share(results: Sequence[Result]) -> str:
    right = sum(result.verdict == "right" for result in results)
    return f"{right:>4} of {len(results):>4}  {percent(results):6.1f} %"
