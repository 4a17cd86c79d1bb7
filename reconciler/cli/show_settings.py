"""`settings`: every setting with its value and where it comes from."""

from __future__ import annotations

import sys

from reconciler.cli.context import home_of
from reconciler.cli.output import format_of, print_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `settings`."""
    parser.output()
    parser.note("The daemon reads HOME/lineclear.toml when it starts. What each setting means is in docs/reference/settings.md.")


def run(args: Args) -> int:
    """Prints the settings; 0. Raises UsageError if the file is wrong."""
    from reconciler.setting_keys import KEYS
    from reconciler.settings import load, plain_value, shown_value

    home = home_of(args)
    settings = load(home)
    shape = format_of(args)
    if shape not in ("table", "wide"):
        values = {key.name: plain_value(getattr(settings, key.attribute)) for key in KEYS}
        print_object(shape, {"home": home.root, "values": values, "origins": dict(settings.origins)}, "settings")
        return 0
    from reconciler.views.table import table

    rows = [(key.name, shown_value(getattr(settings, key.attribute)), settings.origins[key.name]) for key in KEYS]
    rows.insert(0, ("home", home.root, "--home" if args.given("home") else "LINECLEAR_HOME or the default"))
    sys.stdout.write(table(("SETTING", "VALUE", "ORIGIN"), rows, show_header=not args.flag("no-headers")))
    return 0
