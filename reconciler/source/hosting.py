"""The bare repository that a home hosts: made once and whole, its settings and hooks looked at and put right ever after.

It seeds one commit from a folder and never touches a branch again. The settings pin its hooks: those of an account outrank
nothing that a repository says itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import Refused, UsageError
from reconciler.source.notes import NOTES_REF
from reconciler.source.plumbing import hosted_environment, read_version, run_git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.home import Home
    from reconciler.settings import Settings

HOOKS = ("pre-receive", "post-receive")
_WITHOUT = """\
    import os
    options = [value for name, value in os.environ.items() if name.startswith('GIT_PUSH_OPTION_')]
    if 'receive.lineclear=warn' in options:
        sys.exit(0)
    print('refused: the push could not be checked; push it unchecked: git push -o receive.lineclear=warn', file=sys.stderr)
    sys.exit(1)"""
SEED_DATE = "2000-01-01T00:00:00+0000"
SEED_MESSAGE = "Seed the repository"
SHEBANG_LIMIT_BYTES = 250
OWN_REFS = "refs/lineclear"
_SETTINGS = {
    "receive.advertisepushoptions": "true",
    "receive.denydeletecurrent": "ignore",  # the hook says what deleting the watched branch means
    "receive.autogc": "false",  # no push waits for packing: the daemon tidies
    "gc.auto": "0",
}
_HIDDEN = (NOTES_REF, OWN_REFS)  # the daemon's own word on its journal and on what is live: to be fetched, not to be pushed


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """What a hosted repository is to be like. `home` and `python` are for its hooks, which run `python`.

    `branch` and `include` are kept in it for the check without a daemon.
    """

    path: Path
    home: Path
    python: str
    branch: str
    include: str = ""

    @property
    def settings(self) -> Mapping[str, str]:
        """Its configuration, each with one value."""
        own = {"lineclear.branch": self.branch, "lineclear.include": self.include}
        return _SETTINGS | own | {"core.hookspath": os.path.join(os.path.realpath(self.path), "hooks")}


def hosting_of(home: Home, settings: Settings) -> Hosting:
    """What the repository of a home is to be like, for this installation."""
    return Hosting(
        path=Path(home.repository), home=Path(home.root), python=sys.executable, branch=settings.branch, include=settings.include
    )


def create_hosted(path: Path, branch: str, template_dir: Path | None, hook_python: str, *, home: Path, include: str = "") -> bool:
    """True if the repository was made, False if it was there; in both cases its settings and hooks are as they should be.

    A new one holds one commit, the same for the same folder (author, date and order are fixed), and appears whole, by one
    rename. Raises Refused if something else is at `path`, UsageError for a git that is too old.
    """
    from reconciler.source.repository import check_branch

    read_version()
    hosting = Hosting(path=path, home=home, python=hook_python, branch=check_branch(branch), include=include)
    if path.exists():
        if not is_repository(path):
            raise Refused(f"{path} cannot be used: something is there that is not a bare repository; move it away")
        mend_hosted(hosting)
        return False
    for left in path.parent.glob(f".{path.name}.*"):  # of an attempt that was cut off
        shutil.rmtree(left, ignore_errors=True)
    made = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        made.mkdir(mode=0o700, parents=True)
        env = hosted_environment(str(made))
        run_git(str(made), env, "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", ".")
        if template_dir is not None:
            _seed(made, branch, template_dir)
        _mend(hosting, made)
        made.rename(path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return True


def is_repository(path: Path) -> bool:
    """True if a bare repository is there."""
    return (path / "objects").is_dir() and (path / "refs").is_dir() and (path / "HEAD").is_file()


def find_faults(hosting: Hosting) -> list[str]:
    """What is not as it is to be, a sentence each, [] if nothing. Raises GitFailed if the configuration cannot be read."""
    return _faults(hosting, hosting.path)


def mend_hosted(hosting: Hosting) -> list[str]:
    """Put settings, hooks and mode right; what was not as it is to be. A hook of somebody else's is kept beside.

    Raises UsageError for an interpreter that no hook can name, GitFailed or OSError if it cannot be done.
    """
    found = find_faults(hosting)
    if found:
        _mend(hosting, hosting.path)
    return found


def _faults(hosting: Hosting, path: Path) -> list[str]:
    faults = [] if not path.stat().st_mode & 0o077 else [f"others may enter {path}"]
    kept = _read_settings(path)
    for key, value in hosting.settings.items():
        if kept.get(key) != [value]:
            faults.append(f"the setting {key} is {' and '.join(map(repr, kept.get(key, []))) or 'missing'} instead of {value!r}")
    faults += [f"{name} can be pushed to" for name in _HIDDEN if name not in kept.get("receive.hiderefs", [])]
    for name in HOOKS:
        hook = path / "hooks" / name
        wanted = hook_text(name, _kept_python(hook, hosting.python), home=hosting.home)
        if not os.path.lexists(hook):
            faults.append(f"the hook {name} is missing: pushes come unchecked")
        elif not hook.is_file() or hook.read_text(errors="replace") != wanted:
            faults.append(f"the hook {name} is not the one of this installation")
        elif not os.access(hook, os.X_OK):
            faults.append(f"the hook {name} cannot be run: pushes come unchecked")
    return faults


def _mend(hosting: Hosting, path: Path) -> None:
    """Make `path`, which is or becomes that of `hosting`, as it is to be."""
    path.chmod(0o700)
    env, kept = hosted_environment(str(path)), _read_settings(path)
    for key, value in hosting.settings.items():
        if kept.get(key) != [value]:
            run_git(str(path), env, "config", "--local", "--replace-all", key, value)
    for name in _HIDDEN:
        if name not in kept.get("receive.hiderefs", []):
            run_git(str(path), env, "config", "--local", "--add", "receive.hideRefs", name)
    install_hooks(path, hosting.python, home=hosting.home)


def _read_settings(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    listed = run_git(str(path), hosted_environment(str(path)), "config", "--local", "--no-includes", "--list", "-z")
    for entry in os.fsdecode(listed).split("\0")[:-1]:
        key, _, value = entry.partition("\n")
        found.setdefault(key, []).append(value)
    return found


def _kept_python(hook: Path, python: str) -> str:
    """The interpreter that a hook names, if it is the same one by another name beside it; else `python`."""
    with contextlib.suppress(OSError):
        named = hook.read_text(errors="replace").partition("\n")[0].removeprefix("#!").rpartition(" ")[0]
        if os.path.dirname(named) == os.path.dirname(python) and os.path.samefile(named, python):
            return named
    return python


def install_hooks(path: Path, hook_python: str, *, home: Path) -> None:
    """Write both hooks; a hook of somebody else's is kept beside as NAME.before-lineclear. Raises UsageError for a path
    that no `#!` line can hold.
    """
    folder = path / "hooks"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in HOOKS:
        target = folder / name
        text = hook_text(name, hook_python, home=home)
        if os.path.lexists(target) and "lineclear" not in _text_of(target):
            target.rename(target.with_name(f"{name}.before-lineclear"))
        fresh = folder / f".{name}.{os.urandom(4).hex()}"
        fresh.write_text(text)
        fresh.chmod(0o700)
        fresh.replace(target)


def _text_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def hook_text(name: str, hook_python: str, *, home: Path) -> str:
    """A hook as a script for that very interpreter, isolated and without `site`: no shell, and nothing of the pusher's.

    A Lineclear that has gone away refuses a push and says so, and lets through what asks for it.
    """
    if len(os.fsencode(hook_python)) > SHEBANG_LIMIT_BYTES or any(c.isspace() for c in hook_python):
        raise UsageError(f"hooks cannot run {hook_python!r}: a #! line holds no spaces and 250 bytes; install it elsewhere")
    source = Path(__file__).parent
    return (
        f"#!{hook_python} -IS\n"
        "# Written by lineclear init, which also repairs it.\n"
        "import sys\n"
        f"sys.path.insert(0, {str(source)!r})\n"
        "try:\n"
        "    import hook\n"
        "except Exception as error:\n"
        "    print('lineclear is gone from where this hook looks; run lineclear init:', error, file=sys.stderr)\n"
        f"{_WITHOUT if name == 'pre-receive' else '    sys.exit(0)'}\n"
        "del sys.path[0]\n"
        f"sys.exit(hook.main({name!r}, {os.path.realpath(home)!r}, {hook_python!r}, {str(source.parents[1])!r}))\n"
    )


def _seed(path: Path, branch: str, template_dir: Path) -> None:
    env = hosted_environment(str(path))
    index = path / "seed-index"
    env |= {"GIT_INDEX_FILE": str(index), "GIT_AUTHOR_DATE": SEED_DATE, "GIT_COMMITTER_DATE": SEED_DATE}
    files = [p for p in sorted(template_dir.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    names = "".join(f"{p.resolve()}\n" for p in files).encode()
    repository = str(path)
    blobs = run_git(repository, env, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names).decode().split()
    lines = [f"{_mode(p)} {blob}\t{p.relative_to(template_dir).as_posix()}\0" for p, blob in zip(files, blobs, strict=True)]
    run_git(repository, env, "update-index", "-z", "--add", "--index-info", stdin="".join(lines).encode())
    tree = run_git(repository, env, "write-tree").decode().strip()
    commit = run_git(repository, env, "commit-tree", "-m", SEED_MESSAGE, tree).decode().strip()
    run_git(repository, env, "update-ref", f"refs/heads/{branch}", commit)
    index.unlink()


def _mode(path: Path) -> str:
    return "100755" if path.stat().st_mode & stat.S_IXUSR else "100644"
