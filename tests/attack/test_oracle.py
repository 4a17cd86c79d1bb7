"""The oracle finds what it is there to find, from lines of real witnesses and from lines made up."""

import subprocess
import sys
from pathlib import Path

import pytest

from attack import oracle
from attack.house import await_true, read_ticks
from attack.oracle import Testimony, out_of_turn, parse

PYTHON = (sys.executable, "-I", "-S", str(Path(oracle.__file__).with_name("witness.py")))


def say(kind, at, run, attempt="1", tag="a"):
    return parse("\t".join((kind, str(at), "9", "8", "7", run, run, attempt, "1", tag)))


def test_an_attempt_that_began_while_another_lived_overlaps():
    said = Testimony([say("B", 1, "x"), say("B", 3, "y", "2"), say("E", 4, "x"), say("E", 5, "y", "2")])

    assert len(said.overlaps()) == 1
    assert said.overlaps(limit=2) == []


def test_one_that_began_after_the_last_sign_of_life_does_not_overlap():
    said = Testimony([say("B", 1, "x"), say("E", 2, "x"), say("B", 3, "y", "2"), say("E", 4, "y", "2")])

    assert said.overlaps() == []
    assert said.runs() == ["x", "y"]


def test_an_attempt_that_begins_again_is_twice_and_so_is_a_second_attempt():
    assert Testimony([say("B", 1, "x"), say("B", 2, "x")]).twice() == ["('x', 'x', '1')"]
    assert Testimony([say("B", 1, "x"), say("B", 2, "x", "2")]).twice() == ["('x', 'x')"]


def test_only_requests_that_did_not_cross_have_an_order():
    asked = {"x": (1, 2), "y": (3, 4), "z": (3, None)}

    assert out_of_turn(["y", "x", "z"], asked) == [("x", "y")]
    assert out_of_turn(["x", "z", "y"], asked) == []


@pytest.mark.parametrize("argv", [pytest.param(None, id="whichever"), pytest.param(PYTHON, id="python")])
def test_what_a_step_leaves_behind_bears_witness_with_its_name_hidden_and_its_environment_gone(argv, tmp_path):
    log, disguise = tmp_path / "log", "setsid,twice,environment,score,name,descriptors,subreaper,nohup"
    subprocess.run([*(argv or oracle.witness()), log, "a", "10", "3", "400", disguise], env={"LINECLEAR_RUN": "r"}, check=False)

    said = await_true(lambda: (read := Testimony.read(log)).where(kind="E")[1:] and read, "the end of what was left")

    assert {line.run for line in said.lines} == {"r"}
    assert len({line.pid for line in said.lines}) >= 3
    assert [read_ticks(line.pid) for line in said.where(kind="E") if read_ticks(line.pid) == line.ticks] == []
