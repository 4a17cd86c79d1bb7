"""What reaches the branch without a whole check is taken and said to be so; what cannot be checked is refused."""

from __future__ import annotations

import json

import pytest

PAST = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"
BAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: Bad}\nspec: {}\n"


@pytest.fixture
def served(home):
    home.daemon.start()
    return home


def outcome(home, until):
    sha = home.git("rev-parse", "HEAD").stdout.strip()
    sql = "SELECT outcome_json FROM revision WHERE sha = ? ORDER BY id DESC"
    return json.loads(until(lambda: home.rows(sql, sha), f"{sha} to be told")[0][0])


def test_a_commit_that_comes_past_the_hooks_is_applied_and_said_to_be_unchecked(served, book, until):
    served.commit({"w.yaml": book.workflow("w"), "bad.yaml": BAD})
    served.git("push", "-q", PAST, "origin", "HEAD:main")
    served.wait_phase("w")

    told = outcome(served, until)
    assert "no check of it is known" in told["unchecked"]
    assert told["lines"][0].endswith(told["unchecked"])
    assert told["lines"][0].startswith("warning: ")
    assert json.loads(served.journal("revision.applied")[-1][3])["unchecked"] == told["unchecked"]


def test_a_branch_that_is_moved_by_hand_is_said_to_be_unchecked(served, book, until):
    served.push({"w.yaml": book.workflow("w")})
    sha = served.commit({"x.yaml": book.workflow("x")})
    served.git("push", "-q", "origin", "HEAD:other")
    served.git("update-ref", "refs/heads/main", sha, cwd=served.bare)
    served.wait_phase("x")
    assert "no check of it is known" in outcome(served, until)["unchecked"]


@pytest.mark.parametrize("is_up", [True, False])
def test_a_checked_push_says_nothing_of_it_and_one_let_through_says_by_whom(home, book, until, is_up):
    if is_up:
        home.daemon.start()
    home.push({"w.yaml": book.workflow("w")})
    if not is_up:
        home.daemon.start()
    assert outcome(home, until)["unchecked"] == ""
    if not is_up:
        home.daemon.stop()
    home.commit({"bad.yaml": BAD, "x.yaml": book.workflow("x")})
    said = home.git("push", "-o", "receive.lineclear=warn", "origin", "HEAD:main").stderr
    assert "let through by receive.lineclear=warn" in said
    if not is_up:
        home.daemon.start()
    home.wait_phase("x")
    assert outcome(home, until)["unchecked"].partition("; pushed by ")[0].endswith("let through by receive.lineclear=warn")


def test_a_tree_that_cannot_be_checked_refuses_the_push_and_says_how_to_push_all_the_same(served, book, until):
    served.commit({f"many/{n}.yaml": "" for n in range(20_001)} | {"w.yaml": book.workflow("w")})
    refused = served.push_head(check=False)
    assert refused.returncode != 0
    assert "refused: the push could not be checked: " in refused.said
    assert "20002 manifest files are over the limit of 20000" in refused.said
    assert "git push -o receive.lineclear=warn" in refused.said
