"""The folder that steps see, made from real commits, some of them hostile."""

import os
import stat

import pytest

from reconciler.errors import Transient
from reconciler.source.export import export_tree, remove_tree


@pytest.fixture
def dest(short_dir):
    target = short_dir / "trees" / "commit"
    yield target
    remove_tree(target)


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_tree_has_every_file_read_only_with_its_mode_whatever_the_umask(desk, repository, dest):
    desk.write("bin/deploy.sh", "#!/bin/sh\necho hi\n")
    (desk.work / "bin/deploy.sh").chmod(0o755)
    sha = desk.land({"a b/é.txt": "text", "plain.yaml": "x: 1"})
    before = os.umask(0o077)
    try:
        assert export_tree(repository, sha, dest) == []
    finally:
        os.umask(before)
    assert (dest / "a b/é.txt").read_text() == "text"
    modes = [mode(dest / name) for name in (".", "bin", "bin/deploy.sh", "plain.yaml")]
    assert modes == [0o555, 0o555, 0o555, 0o444]
    assert os.listdir(dest.parent) == ["commit"]


def test_links_that_leave_the_tree_and_submodules_are_left_out(desk, repository, dest):
    base = desk.land({"d/file": "x", "top": "y"})
    links = {
        "in": "d/file", "d/up": "../top", "abs": "/etc/passwd", "out": "../outside", "d/out": "../../outside",
        "d/root": "..", "sly": "d/root/../x", "loop": "loop", "slyabs": "abs/x",
    }  # fmt: skip
    for path, target in links.items():
        (desk.work / path).symlink_to(target)
    (desk.work / "sub").mkdir()
    desk.git("update-index", "--add", "--cacheinfo", f"160000,{base},sub")
    sha = desk.land()
    assert export_tree(repository, sha, dest) == ["abs", "d/out", "loop", "out", "sly", "slyabs", "sub"]
    assert sorted(p.name for p in dest.rglob("*") if p.is_symlink()) == ["in", "root", "up"]
    assert (dest / "in").read_text() == "x"


def test_names_that_could_leave_the_folder_are_left_out(desk, repository, dest):
    blob = desk.git("hash-object", "-w", "--stdin", stdin="x", cwd=desk.bare).stdout.strip()
    tree = desk.git("mktree", stdin=f"100644 blob {blob}\tok\n", cwd=desk.bare).stdout.strip()
    raw = b"".join(
        f"{kind} {name}\0".encode() + bytes.fromhex(sha)
        for kind, name, sha in (("100644", ".git", blob), ("40000", "..", tree), ("100644", "fine", blob))
    )
    (desk.work / "raw").write_bytes(raw)
    hostile = desk.git("hash-object", "-t", "tree", "-w", "--literally", str(desk.work / "raw"), cwd=desk.bare).stdout.strip()
    sha = desk.git("commit-tree", "-m", "x", hostile, cwd=desk.bare).stdout.strip()
    assert export_tree(repository, sha, dest) == ["../ok", ".git"]
    assert [p.name for p in dest.iterdir()] == ["fine"]
    assert os.listdir(dest.parent) == ["commit"]


def test_a_tree_is_made_once_and_an_unknown_commit_leaves_nothing(desk, repository, dest):
    sha = desk.land({"a": "1"})
    export_tree(repository, sha, dest)
    made_at = dest.stat().st_mtime_ns
    assert export_tree(repository, sha, dest) == []
    assert dest.stat().st_mtime_ns == made_at
    with pytest.raises(Transient):
        export_tree(repository, "1" * 40, dest.with_name("other"))
    assert os.listdir(dest.parent) == ["commit"]
