"""HOME/lineclear.toml as a value: every setting with its origin. Owner only; an unknown key is refused with its line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a home is set to."""

    parallelism: int = 4 * (os.cpu_count() or 1)
    branch: str = "main"
    include: str = ""
    poll_interval_s: float = 2.0
    path_env: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    lang: str = "C.UTF-8"
    tz: str = ""
    grace_s: float = 10.0
    images: Mapping[str, str] = field(default_factory=lambda: {"host": "host"})
    image_policy: str = "host"
    compatibility: str = ""
    receive: str = "refuse"


def load(home: Home) -> Settings:
    """The settings of a home."""
    del home
    return Settings()
