"""The git children of the source room: scrubbed, bounded, gone afterwards, and safe to start from any thread."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.source import plumbing
from reconciler.source.plumbing import GitFailed, ObjectReader, hosted_environment, run_git
from reconciler.source.repository import Repository


def open_files():
    return len(os.listdir("/proc/self/fd"))


def children():
    """Git's among this process' children: orphans of other tests may be given to it at any time."""
    found = {int(p.name): read(p / "status") for p in Path("/proc").iterdir() if p.name.isdigit()}
    return {pid for pid, text in found.items() if f"PPid:\t{os.getpid()}\n" in text and text.startswith("Name:\tgit")}


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def test_reading_many_times_leaves_no_child_and_no_open_file(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a")})
    new = desk.land({"b.yaml": manifest("b")})
    repository.read_revision(new, old, at=now)
    repository.pin(new)
    before = (open_files(), children())
    for _ in range(50):
        repository.resolve("main")
        repository.read_revision(new, old, at=now)
        repository.pin(new)
    assert (open_files(), children()) == before


def test_one_repository_read_by_many_threads_reads_the_same(desk, repository, manifest, now):
    shas = [desk.land({f"{i}.yaml": manifest(f"w{i}")}) for i in range(5)]

    def read_one(number):
        old, new = shas[number % 4], shas[number % 4 + 1]
        revision = repository.read_revision(new, old, at=now)
        return [(f.path, [d.name for d in f.documents]) for f in revision.changed], revision.total_files

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read_one, range(80)))
    assert results == [([(f"{n % 4 + 1}.yaml", [f"w{n % 4 + 1}"])], n % 4 + 2) for n in range(80)]


def test_a_failing_command_says_what_git_said(desk):
    env = hosted_environment(str(desk.bare))
    with pytest.raises(GitFailed, match="exit code 128: fatal: not a tree object") as caught:
        run_git(str(desk.bare), env, "ls-tree", "-r", "0" * 39 + "1")
    assert "fatal" in caught.value.stderr


def test_a_place_that_is_no_repository_is_a_failure_that_passes(short_dir):
    with pytest.raises(GitFailed):
        Repository(str(short_dir)).resolve("main")
    with pytest.raises(GitFailed):
        Repository(str(short_dir / "nowhere")).resolve("main")
    with pytest.raises(GitFailed, match="not a git repository"):
        Repository(str(short_dir)).pin("1" * 40)


def test_a_child_that_never_answers_is_killed(desk, monkeypatch):
    monkeypatch.setattr(plumbing, "GIT_TIMEOUT_S", 0.1)
    env = hosted_environment(str(desk.bare))
    before = children()
    with pytest.raises(GitFailed, match="gave no answer"), ObjectReader(str(desk.bare), env) as reader:
        reader.answer(limit_bytes=1)
    with pytest.raises(GitFailed, match="gave no answer"):
        run_git(str(desk.bare), {**env, "GIT_PAGER": "x"}, "-c", "alias.hang=!sleep 60", "hang")
    assert children() == before


def test_an_object_over_the_limit_is_read_past(desk):
    blobs = [
        subprocess.run(["git", "hash-object", "-w", "--stdin"], cwd=desk.bare, input=data, capture_output=True, check=True).stdout
        for data in (b"x" * 300_000, b"small\n")
    ]
    big, small = (blob.decode().strip() for blob in blobs)
    with ObjectReader(str(desk.bare), hosted_environment(str(desk.bare))) as reader:
        reader.ask([big, "0" * 40, small])
        assert reader.answer(limit_bytes=1000) == (big, "blob", 300_000, b"")
        assert reader.answer(limit_bytes=1000) is None
        assert reader.answer(limit_bytes=1000) == (small, "blob", 6, b"small\n")


@pytest.mark.parametrize("folder", ["/etc", "../elsewhere", "objects/../../x"])
def test_a_quarantine_outside_the_repository_is_ignored(desk, folder):
    assert "GIT_OBJECT_DIRECTORY" not in hosted_environment(str(desk.bare), quarantine={"GIT_QUARANTINE_PATH": folder})


def test_a_quarantine_inside_the_repository_is_read_with_the_objects_behind_it(desk):
    incoming = desk.bare / "objects" / "incoming-1"
    incoming.mkdir()
    env = hosted_environment(str(desk.bare), quarantine={"GIT_QUARANTINE_PATH": str(incoming)})
    assert (env["GIT_OBJECT_DIRECTORY"], env["GIT_ALTERNATE_OBJECT_DIRECTORIES"]) == (
        os.path.realpath(incoming),
        os.path.realpath(desk.bare / "objects"),
    )


@pytest.mark.parametrize("sha", ["main", "HEAD", "--all", "a" * 39, "A" * 40, ""])
def test_only_full_shas_are_taken_for_commits(repository, sha, now):
    with pytest.raises(UsageError, match="not a full lower-case SHA"):
        repository.read_revision(sha, None, at=now)
    with pytest.raises(UsageError, match="not a full lower-case SHA"):
        repository.pin(sha)
