"""A `Launch` as the frame a worker reads, with the secrets read at the last moment. It must never store or show a value."""

from __future__ import annotations

import os
import stat
from pathlib import PurePath

from reconciler.model.attempt import Launch
from reconciler.runtime import wire
from reconciler.runtime.bounds import Bounds
from reconciler.runtime.faults import MachineFault, is_of_host

SECRET_LIMIT_BYTES = 128 * 1024  # the kernel refuses a longer variable


class UnstartableError(Exception):
    """The launch cannot be handed over; the text is for people."""

    exit_code = wire.NOT_STARTED_CODE


class SecretError(UnstartableError):
    """A secret cannot be used: the step is in order, the installation is not."""

    exit_code = 1


def pack_launch(launch: Launch, token: str) -> bytes:
    """The LAUNCH frame; raises UnstartableError for a NUL byte, a variable name no environment can have, a bad secret.

    Raises MachineFault if a secret cannot be read for want of descriptors, say: it may be read later.
    """
    variables = {name: _encode(value, f"environment variable {name}") for name, value in launch.env.items()}
    for name, path in launch.extra_env_from:
        variables[name] = read_secret(path)
    variables[wire.TOKEN] = token.encode()
    pairs = []
    for name, value in variables.items():
        if not name or "=" in name:
            raise UnstartableError(f"cannot start the step: environment variable {name!r} has no usable name; rename it")
        pairs.append(_encode(name, f"the name of environment variable {name!r}") + b"=" + value)
    arguments = [_encode(value, f"argument {index}") for index, value in enumerate(launch.argv)]
    head = [
        _encode(launch.directory, "the attempt's directory"),
        _encode(launch.cwd or "", "workingDir"),
        token.encode(),
        str(launch.grace_s).encode(),
        str(len(arguments)).encode(),
        str(len(pairs)).encode(),
        b"0" if launch.source is None else b"1",
        b"%d" % launch.keep_stdout,
        b"%d" % launch.sandbox,
        b"%d" % len(launch.shown),
        Bounds(launch.limits.memory_mb, launch.limits.pids, launch.limits.cpus).pack(),
        b"%d" % launch.log_bytes,
    ]
    shown = [_encode(_check_absolute(folder), "a folder that is shown") for folder in launch.shown]
    source = (launch.source or "").encode("utf-8", "surrogatepass")
    return wire.pack_frame(wire.LAUNCH, launch.attempt_id, b"\0".join([*head, *arguments, *pairs, *shown, source]))


def _check_absolute(folder: str) -> str:
    if not folder.startswith("/"):
        raise UnstartableError(f"cannot start the step: the folder {folder!r} that it is shown must begin with /; name all of it")
    return folder


def _encode(text: str, what: str) -> bytes:
    if "\0" in text:
        raise UnstartableError(f"cannot start the step: {what} has a NUL byte, which no process can be given; remove it")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UnstartableError(f"cannot start the step: {what} is not valid text; remove the lone surrogate") from None


def read_secret(path: str) -> bytes:
    """The value in a secret's file, without one final newline; raises UnstartableError or MachineFault, which name NAME/KEY."""
    shown = "/".join(PurePath(path).parts[-2:])
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if is_of_host(error):
            raise MachineFault(f"cannot read secret {shown}: {error.strerror}") from None
        raise SecretError(f"cannot read secret {shown}: {error.strerror}; store it as a file of mode 0600") from None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise SecretError(f"cannot use secret {shown}: it is not a regular file; store it as one")
        if facts.st_mode & 0o077 or facts.st_uid not in {0, os.geteuid()}:
            mode = f"{stat.S_IMODE(facts.st_mode):04o}"
            raise SecretError(f"cannot use secret {shown}: others may read it (mode {mode}); make it 0600 and your own")
        value = os.read(fd, SECRET_LIMIT_BYTES + 2).removesuffix(b"\n")
    except OSError as error:
        raise MachineFault(f"cannot read secret {shown}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(value) > SECRET_LIMIT_BYTES or b"\0" in value:
        raise SecretError(f"cannot use secret {shown}: it is too long or has a NUL byte; store at most 128 KiB of text")
    return value
