"""The bare repository that a home hosts: made once, its settings and hooks put right on every `lineclear init`.

It seeds one commit from a folder and never touches a branch again.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from reconciler.errors import Refused, UsageError
from reconciler.source.notes import NOTES_REF
from reconciler.source.plumbing import hosted_environment, run_git
from reconciler.source.repository import check_branch

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
_SETTINGS = (
    ("receive.advertisePushOptions", "true"),
    ("receive.denyDeleteCurrent", "ignore"),  # the hook says what deleting the watched branch means
    ("receive.autogc", "false"),  # no push waits for packing: the daemon tidies
    ("gc.auto", "0"),
    ("core.hooksPath", "hooks"),  # else a core.hooksPath of the pusher's own configuration takes its place
)


def create_hosted(path: Path, branch: str, template_dir: Path | None, hook_python: str, *, home: Path, include: str = "") -> bool:
    """True if the repository was made, False if it was there; in both cases its settings and hooks are as they should be.

    A new one holds one commit, the same for the same folder (author, date and order are fixed), and appears by one rename.
    `branch` and `include` are kept in it for the check without a daemon. Raises Refused if something else is at `path`.
    """
    check_branch(branch)
    is_new = not path.exists()
    if is_new:
        made = path.with_name(f".{path.name}.{os.getpid()}")
        made.mkdir(mode=0o700, parents=True)
        env = hosted_environment(str(made))
        run_git(str(made), env, "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", ".")
        if template_dir is not None:
            _seed(made, branch, template_dir)
        made.rename(path)
    elif not (path / "objects").is_dir() or not (path / "HEAD").is_file():
        raise Refused(f"{path} cannot be used: something is there that is not a bare repository; move it away")
    path.chmod(0o700)
    env = hosted_environment(str(path))
    for key, value in (*_SETTINGS, ("lineclear.branch", branch), ("lineclear.include", include)):
        run_git(str(path), env, "config", "--local", key, value)
    # the notes are the daemon's own word on its journal: anybody may fetch them, nobody may push them
    run_git(str(path), env, "config", "--local", "--replace-all", "receive.hideRefs", NOTES_REF, f"^{NOTES_REF}$")
    install_hooks(path, hook_python, home=home)
    return is_new


def install_hooks(path: Path, hook_python: str, *, home: Path) -> None:
    """Write both hooks; a hook of somebody else's is kept beside as NAME.before-lineclear. Raises UsageError for a path
    that no `#!` line can hold.
    """
    folder = path / "hooks"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in HOOKS:
        target = folder / name
        text = hook_text(name, hook_python, home=home)
        if target.exists() and "lineclear" not in target.read_text(errors="replace"):
            target.rename(target.with_name(f"{name}.before-lineclear"))
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.write_text(text)
        fresh.chmod(0o700)
        fresh.replace(target)


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
        f"sys.exit(hook.main({name!r}, {str(home.absolute())!r}, {hook_python!r}, {str(source.parents[1])!r}))\n"
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
