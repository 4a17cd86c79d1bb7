"""Whether a home is whole, and the words for one that is not: each names a way on. It looks, and mends nothing."""

from __future__ import annotations

import os

from reconciler.errors import NotFound, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.home import Home


def check_home(home: Home) -> None:
    """Raises NotFound if there is no home, Refused for one that is half made or has lost its repository."""
    if os.path.lexists(home.making):
        raise Refused(half_made(home))
    if all(os.path.exists(os.path.join(home.repository, name)) for name in ("HEAD", "objects", "refs")):
        return
    if os.path.lexists(home.repository):
        raise Refused(damaged_repository(home))
    if not has_been_home(home):
        raise NotFound(f"there is no home at {home.root}; make one: lineclear --home {home.root} init")
    raise Refused(lost_repository(home))


def has_been_home(home: Home) -> bool:
    """True for what has been a home, also if a part of it is gone; what `run` keeps is none."""
    return os.path.lexists(home.repository) or (os.path.exists(home.settings) and os.path.isdir(home.secrets))


def half_made(home: Home) -> str:
    """What is to be said of a home whose making was cut off."""
    return (
        f"the home {home.root} is half made: its init was cut off, or is still at work; it goes on when it is run again:"
        f" lineclear --home {home.root} init"
    )


def lost_repository(home: Home) -> str:
    """What is to be said of a home without its repository: there are two ways on, and neither is `init` as for a new one."""
    return (
        f"the home {home.root} has lost its repository: {home.repository} is not there; put a copy of it back, or make an"
        f" empty one and push a clone to it: lineclear --home {home.root} init --repair"
    )


def damaged_repository(home: Home) -> str:
    """What is to be said if something else is where the repository should be."""
    return (
        f"the home {home.root} has no repository: {home.repository} is there, but it is no bare repository; put a copy back, or"
        f" move it away, make an empty one and push a clone to it: lineclear --home {home.root} init --repair"
    )
