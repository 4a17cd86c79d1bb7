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


def make_tree(desk, *entries):
    """A tree written as it is, however wrong, in the hosted repository; its SHA."""
    raw = b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries)
    (desk.work / "raw").write_bytes(raw)
    words = ("hash-object", "-t", "tree", "-w", "--literally", str(desk.work / "raw"))
    return desk.git(*words, cwd=desk.bare).stdout.strip()


def test_names_that_come_twice_or_that_no_file_can_have_are_left_out(desk, repository, dest):
    blob = desk.git("hash-object", "-w", "--stdin", stdin="x", cwd=desk.bare).stdout.strip()
    up = desk.git("hash-object", "-w", "--stdin", stdin="both/../../fine", cwd=desk.bare).stdout.strip()
    inner = make_tree(desk, ("100644", b"file", blob), ("120000", b"link", blob))
    deep = inner
    for _ in range(30):
        deep = make_tree(desk, ("40000", b"d" * 200, deep))
    root = make_tree(
        desk,
        ("100644", b"-rf", blob), ("120000", b"both", blob), ("40000", b"both", inner), ("40000", b"deep", deep),
        ("100644", b"fine", blob), ("40000", b"fine", inner), ("100644", b"n" * 300, blob), ("100644", b"new\nline", blob),
        ("100644", b"twice", blob), ("100644", b"twice", blob), ("120000", b"up", up), ("100644", b"\xff\x1b[31m", blob),
    )  # fmt: skip
    sha = desk.git("commit-tree", "-m", "x", root, cwd=desk.bare).stdout.strip()
    left_out = export_tree(repository, sha, dest)
    below = "/".join(["deep", *["d" * 200] * 30])
    assert left_out == ["both", f"{below}/file", f"{below}/link", "fine/file", "fine/link", "n" * 300, "twice", "up"]
    assert sorted(os.listdir(os.fsencode(dest))) == [b"-rf", b"both", b"fine", b"new\nline", b"twice", b"\xff\x1b[31m"]
    assert (dest / "fine").is_file()
