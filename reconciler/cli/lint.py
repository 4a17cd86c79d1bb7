"""`lint`: checks manifests without a daemon or a home; where there is a home, it tells what is weaker in it."""

from __future__ import annotations

from reconciler.cli.output import format_of, plural, print_object
from reconciler.errors import UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `lint`."""
    parser.positional("PATH", "+", "files and folders; a folder's .lineclearignore counts")
    parser.flag("--notes", text="also what may be meant so: a mutex that nothing else names")
    parser.flag("--strict", text="exit with 2 as well if there is no document of ours to check")
    parser.option("-o", "--output", metavar="FORMAT", text="table | json")
    parser.note("Exit code 2 if there is an error; warnings and notes are 0. The rules are in docs/reference/lint-rules.md.")


def run(args: Args) -> int:
    """Prints every finding; 0, or 2 if one is an error."""
    from pathlib import Path

    from reconciler.source.offline import check_paths

    paths = [Path(path) for path in args.many("PATH")]
    checked = check_paths(paths, notes=args.given("notes"))
    findings = checked.findings
    has_error = any(finding.severity.value == "error" for finding in findings)
    shape = format_of(args)
    if shape in ("table", "wide"):
        print("".join(clean(str(finding)) + "\n" for finding in findings), end="")
        print(_summary(checked))
        _tell_weaker(args)
    else:
        print_object(shape, [_object(finding) for finding in findings], "")
    is_idle = args.given("strict") and not checked.documents
    return UsageError.exit_code if has_error or is_idle else 0


def _tell_weaker(args: Args) -> None:
    """On standard error, which promise is weaker in the home here, if there is one: no manifest can mend that."""
    import contextlib
    import os
    import sys
    from pathlib import Path

    from reconciler.cli.context import home_of
    from reconciler.errors import LineclearError
    from reconciler.runtime.grouping import NO_GROUPS, find_grouping
    from reconciler.settings import load

    home = home_of(args)
    with contextlib.suppress(LineclearError, OSError):  # no home of this account, or one that other commands complain of
        if not os.path.isfile(home.settings):
            return
        found = NO_GROUPS if load(home).groups == "off" else find_grouping(Path(home.root))
        if found.weakness:
            print(f"note: {clean(found.weakness)}", file=sys.stderr)


def _summary(checked: Any) -> str:
    """`12 documents of 4 files: nothing found; 3 foreign documents skipped`."""
    counts = [sum(finding.severity.value == word for finding in checked.findings) for word in ("error", "warning", "note")]
    told = [plural(count, word) for count, word in zip(counts, ("error", "warning", "note"), strict=True) if count]
    documents = plural(checked.documents, "document") if checked.documents else "no document"
    skipped = f"; {plural(checked.foreign, 'foreign document')} skipped" if checked.foreign else ""
    return f"{documents} of {plural(checked.files, 'file')}: {', '.join(told) or 'nothing found'}{skipped}"


def _object(finding: Any) -> dict[str, Any]:
    place = finding.place
    return {
        "path": place.path,
        "line": place.line,
        "column": place.column,
        "severity": finding.severity.value,
        "rule": finding.rule,
        "message": finding.message,
    }
