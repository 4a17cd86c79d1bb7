"""Cases of CronWorkflows that are edited, broken, moved or late under Forbid."""

import json

import pytest
from loop_harness import API, START, job

from reconciler.model.images import Images
from reconciler.model.source import Revision
from reconciler.source.parsing import manifest_parser


def cron(name="c", **more):
    body = {"schedules": ["* * * * *"], "timezone": "UTC", "workflowSpec": job(), **more}
    return {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": name}, "spec": body}


def name(minute, prefix="c"):
    """The run of the tick that many minutes after the start."""
    return f"{prefix}-{int(START.timestamp()) + 60 * minute}"


def decisions(world):
    return [decision for (decision,) in world.rows("SELECT decision FROM tick ORDER BY due_at, cron")]


def push_text(world, path, text):
    """A revision in which one file has this text, good or not."""
    world.serial += 1
    file = manifest_parser(Images())(path, f"blob-{world.serial}", text.encode(), True)
    sha = f"{world.serial:040x}"
    previous = world.writer.meta("applied")
    world.inbox.put(Revision(sha=sha, previous=previous, at=world.clock.at, changed=(file,), removed=()))
    world.tick()
    return file


@pytest.mark.edge("E85")
def test_ticks_that_were_forbidden_are_not_made_up_for_within_the_deadline(world):
    world.push(cron(concurrencyPolicy="Forbid", startingDeadlineSeconds=500))
    for _ in range(3):
        world.tick(60)
    assert decisions(world) == ["ran", "forbidden", "forbidden"]
    world.exits(name(1), "")
    world.tick(5)
    assert (decisions(world), world.running()) == (["ran", "forbidden", "forbidden"], [])
    world.tick(55)
    assert world.running() == [(name(4), "")]


@pytest.mark.edge("E100")
@pytest.mark.parametrize("bad", ['"61 * * * *"', "[", '["* * * * *", "nonsense"]'])
def test_a_cron_that_is_edited_into_a_bad_one_goes_on_as_its_last_good_version_and_says_so(world, bad):
    world.push(cron(), path="c.yaml")
    good = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {name: c}\nspec:\n  schedules: "
    assert push_text(world, "c.yaml", f"{good}{bad}\n").is_bad
    world.tick(60)
    assert world.running() == [(name(1), "")]
    assert world.rows("SELECT name, stale <> '' FROM definition WHERE kind = 'CronWorkflow' AND retired_at IS NULL") == [("c", 1)]
    world.push(cron(suspend=True), path="c.yaml")
    assert world.rows("SELECT stale FROM definition WHERE kind = 'CronWorkflow' AND retired_at IS NULL") == [("",)]


@pytest.mark.edge("E99")
@pytest.mark.parametrize("more", [{"schedules": []}, {"schedules": ["* * * * *", "61 * * * *"]}, {"timezone": "Mars/Olympus"}])
def test_a_cron_with_a_wrong_part_is_refused_as_a_whole_and_the_others_run(world, more):
    assert push_text(world, "bad.yaml", json.dumps(cron("bad", **more))).is_bad
    world.push(cron("good"), path="good.yaml")
    world.tick(60)
    assert world.running() == [(name(1, "good"), "")]


@pytest.mark.edge("E110")
def test_a_cron_in_a_renamed_file_is_the_same_cron_and_a_renamed_cron_is_another(world):
    world.push(cron(concurrencyPolicy="Forbid"), path="old.yaml")
    world.tick(60)
    world.push(cron(concurrencyPolicy="Forbid"), path="new.yaml", removed=["old.yaml"])
    world.tick(60)
    assert decisions(world) == ["ran", "forbidden"]
    world.push(cron("d", concurrencyPolicy="Forbid"), path="new.yaml")
    world.tick(60)
    assert world.running() == [(name(1), ""), (name(3, "d"), "")]
