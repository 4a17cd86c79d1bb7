"""What the settings say of images: which runtime runs them, and what they run by themselves. Never from the repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from reconciler.model.attempt import StepLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What the settings say of an image: its runtime (`host` or `sandbox`), what it runs when a template gives no command,
    the folders that its steps find before those of PATH, and what one of them may use: None is what any step may.
    """

    runtime: str = "host"
    command: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    memory_mb: int | None = None
    pids: int | None = None
    cpus: float | None = None

    def limits(self, others: StepLimits) -> StepLimits:
        """What one of its steps may use, where any step may use as much as `others`."""
        return StepLimits(
            memory_mb=others.memory_mb if self.memory_mb is None else self.memory_mb,
            pids=others.pids if self.pids is None else self.pids,
            cpus=others.cpus if self.cpus is None else self.cpus,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The image map of the settings; `mapped_only`: no other image may be run, whatever its command.

    A key is an image with its tag, or without: then it stands for every tag. `*` in a key stands for any text.
    """

    mapped: Mapping[str, Image] = field(default_factory=lambda: {"host": Image()})
    mapped_only: bool = False

    def find(self, image: str) -> Image | None:
        """What is said of the image: by its full name, else without tag or digest, else by the first pattern that fits."""
        bare = image.partition("@")[0]
        head, slash, tail = bare.rpartition("/")
        untagged = head + slash + tail.partition(":")[0]
        for name in (image, bare, untagged):
            if name in self.mapped:
                return self.mapped[name]
        return next((said for key, said in self.mapped.items() if "*" in key and fnmatchcase(image, key)), None)
