"""`tui`: the operator's screen. It wants a terminal; the screen itself, and what it draws with, are imported only then."""

from __future__ import annotations

import os
import sys

from reconciler.cli.context import home_of
from reconciler.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser

THEMES = ("dark", "light", "terminal")


def configure(parser: Parser) -> None:
    """Adds the options of `tui`."""
    parser.flag("--read-only", text="only look: no key changes anything")
    parser.option("--theme", metavar="NAME", text="dark, light, or terminal for its own colours", choices=THEMES)
    parser.flag("--ascii", text="draw with ASCII alone; so it is anyway where the locale is not UTF-8")
    parser.note(
        "`?` shows the keys, `:` goes to a lock or run by its name, `q` leaves. With no daemon running it shows what is\n"
        "stored and says so. NO_COLOR is respected. In a script use `lineclear locks`, `list`, `why`, `journal`."
    )


def run(args: Args) -> int:
    """Opens the screen until it is left; 0."""
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output"), (sys.stderr, "error")):
        if not stream.isatty():
            raise UsageError(
                f"could not open the screen: standard {name} is no terminal;"
                " run it in one, or use `lineclear locks`, `lineclear list` and `lineclear why`"
            )
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise UsageError(f"could not open the screen: TERM is {os.environ.get('TERM', '')!r}; set it to what the terminal is")
    os.environ.setdefault("TEXTUAL_FPS", "240")  # read on import; with 60 a key may wait 16 ms for its frame
    from tui.start import Wish, run_screen

    wish = Wish(
        home=home_of(args).root,
        read_only=args.flag("read-only"),
        ascii_only=args.flag("ascii"),
        theme=args.text("theme"),
    )
    return run_screen(wish)
