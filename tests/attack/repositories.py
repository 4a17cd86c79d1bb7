"""Hostile repositories: some forty ways in which Git is made to run a program, tried on each command that looks into one.

The program leaves a marker. A marker, however it came there, is a failure; so is a command that does not come back. It must
never let Git itself look into a trap but to show that it is one.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from attack.campaign import Done, house

COMMANDS = (("plan",), ("plan", "HEAD"), ("lint", "."), ("sync",))
NOBODY = 65534
MANIFEST = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: hello}
spec: {entrypoint: main, templates: [{name: main, container: {image: host, command: ["true"]}}]}
"""
KEYS = (
    "core.fsmonitor",
    "core.sshCommand",
    "core.editor",
    "core.pager",
    "core.askPass",
    "core.gitProxy",
    "core.alternateRefsCommand",
    "diff.external",
    "diff.x.textconv",
    "diff.x.command",
    "filter.x.clean",
    "filter.x.smudge",
    "filter.x.process",
    "merge.x.driver",
    "gpg.program",
    "gpg.ssh.program",
    "credential.helper",
    "uploadpack.packObjectsHook",
    "receive.procReceiveRefs",
    "pager.log",
    "pager.diff",
    "pager.show",
    "interactive.diffFilter",
    "sequence.editor",
    "trailer.x.command",
    "alias.rev-parse",
    "alias.cat-file",
    "http.proxy",
)
HOOKS = (
    "fsmonitor-watchman",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-update",
    "pre-auto-gc",
    "pre-commit",
    "pre-receive",
    "proc-receive",
    "reference-transaction",
    "update",
)


@dataclass(frozen=True)
class Trap:
    """One repository. `spring` lays it in a folder that is a repository already, given the command that marks."""

    what: str
    spring: object


def configure(text):
    def spring(folder, mark):
        with (folder / ".git/config").open("a") as file:
            file.write(text.format(mark=mark, folder=folder))

    return spring


def set_key(key):
    def spring(folder, mark):
        section, _, name = key.rpartition(".")
        outer, _, inner = section.partition(".")
        heading = f'[{outer} "{inner}"]' if inner else f"[{outer}]"
        value = f"!{mark}" if key.startswith(("alias", "credential")) else mark
        configure(f'{heading}\n\t{name} = "{value}"\n')(folder, mark)
        (folder / ".gitattributes").write_text("*.yaml filter=x diff=x merge=x\n")
        os.utime(folder / "a.yaml", (0, 0))  # git has to look at it again

    return spring


def set_hooks(place):
    def spring(folder, mark):
        where = folder / place
        where.mkdir(exist_ok=True)
        for name in HOOKS:
            (where / name).write_text(f"#!/bin/sh\n{mark}\n")
            (where / name).chmod(0o755)
        if place != ".git/hooks":
            configure("[core]\n\thooksPath = {folder}/%s\n" % place)(folder, mark)  # noqa: UP031  # `format` fills in the rest

    return spring


def promise(url):
    """A partial clone whose missing object would be fetched from a remote that is a command."""

    def spring(folder, mark):
        text = '[protocol "ext"]\n\tallow = always\n[protocol "file"]\n\tallow = always\n[extensions]\n\tpartialClone = origin\n'
        text += f'[core]\n\trepositoryFormatVersion = 1\n[remote "origin"]\n\turl = "{url}"\n\tpromisor = true\n'
        text += "\tpartialclonefilter = blob:none\n"
        configure(text)(folder, mark)
        listed = subprocess.run(["git", "rev-parse", "HEAD:a.yaml"], cwd=folder, capture_output=True, text=True, check=True)
        name = listed.stdout.strip()
        (folder / ".git/objects" / name[:2] / name[2:]).unlink()
        (folder / "a.yaml").unlink()

    return spring


def include(condition):
    def spring(folder, mark):
        more = f'[core]\n\tfsmonitor = "{mark}"\n\tsshCommand = "{mark}"\n[diff]\n\texternal = "{mark}"\n'
        (folder / ".git/more").write_text(more)
        configure(f"[{condition}]\n\tpath = more\n")(folder, mark)
        os.utime(folder / "a.yaml", (0, 0))

    return spring


def submodule(folder, mark):
    """A submodule that is updated by a command, below the tree."""
    (folder / ".gitmodules").write_text(f'[submodule "s"]\n\tpath = s\n\turl = "ext::{mark}"\n\tupdate = !{mark}\n')
    configure('[submodule "s"]\n\turl = "ext::{mark}"\n\tupdate = "!{mark}"\n[protocol "ext"]\n\tallow = always\n')(folder, mark)
    (folder / "s").mkdir()


def alternates(folder, mark):
    """Objects of another repository, with refs that a command would list."""
    (folder / ".git/objects/info").mkdir(exist_ok=True)
    (folder / ".git/objects/info/alternates").write_text(f"{folder}/../none/.git/objects\n")
    set_key("core.alternateRefsCommand")(folder, mark)


def bare_inside(folder, mark):
    """A bare repository among the files, to walk into by mistake."""
    inner = folder / "inner"
    (inner / "objects").mkdir(parents=True)
    (inner / "refs").mkdir()
    (inner / "HEAD").write_text("ref: refs/heads/main\n")
    own = f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsmonitor = "{mark}"\n\tpager = "{mark}"\n'
    (inner / "config").write_text(own)


def traps():
    """All of them."""
    yield from (Trap(key, set_key(key)) for key in KEYS)
    yield Trap("hooks", set_hooks(".git/hooks"))
    yield Trap("hooksPath", set_hooks("elsewhere"))
    yield from (Trap(f"promisor {url}", promise(url)) for url in ("ext::{mark}", "ssh://-oProxyCommand={mark}/x", "{mark}::x"))
    yield from (Trap(one, include(one)) for one in ("include", 'includeIf "gitdir:**"', 'includeIf "onbranch:*"'))
    yield Trap("submodule", submodule)
    yield Trap("alternates", alternates)
    yield Trap("bare inside", bare_inside)


def make_repository(folder):
    """A repository with one good manifest."""
    folder.mkdir()
    (folder / "a.yaml").write_text(MANIFEST)
    plain = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=plain, capture_output=True)


def lay(home, trap, number):
    """(repository, marker) of a trap that is laid in a home's folder."""
    folder, marker = home.folder / f"trap{number}", home.folder / f"marker{number}"
    program = home.folder / f"mark{number}"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    make_repository(folder)
    trap.spring(folder, str(program))
    return folder, marker


def attack(home, trap, number, *, foreign=False, commands=COMMANDS):
    """What ran in one trap, or how a command hung; `foreign`: the repository belongs to another account."""
    folder, marker = lay(home, trap, number)
    if foreign:
        for where, _, names in os.walk(folder):
            for name in (".", *names):
                os.chown(os.path.join(where, name), NOBODY, NOBODY, follow_symlinks=False)
    found = []
    for words in commands:
        try:
            subprocess.run(home.argv(*words), cwd=folder, check=False, capture_output=True, timeout=60, env=home.env())
        except subprocess.TimeoutExpired:
            found.append(f"{trap.what}: `{' '.join(words)}` did not come back")
        if marker.exists():
            found.append(f"{trap.what}: `{' '.join(words)}` ran its program")
            marker.unlink()
    return found


def campaign(budget, dice):
    """A round is every trap, in another order."""
    count = 0
    for _ in budget:
        with house() as home:
            home.start()
            every = list(traps())
            dice.shuffle(every)
            for number, trap in enumerate(every):
                count += 1
                yield from attack(home, trap, number, foreign=os.geteuid() == 0 and dice.random() < 0.3)
    yield Done(f"{count} repositories, {len(COMMANDS)} commands in each")
