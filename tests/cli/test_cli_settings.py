"""The settings file: what it may say, who may write it, where a mistake is."""

from __future__ import annotations

import json
import os

import pytest

from reconciler.errors import UsageError
from reconciler.home import Home
from reconciler.model.images import Image
from reconciler.model.notice import ALL_KINDS
from reconciler.setting_keys import KEYS
from reconciler.setting_values import loopback
from reconciler.settings import Settings, commented_defaults, load, parse, shown_value


def test_without_a_file_everything_is_the_default(tmp_path):
    found = load(Home(str(tmp_path)))
    assert set(found.origins.values()) == {"default"}
    assert (found.branch, found.images, found.compatibility, found.receive) == ("main", {"host": Image()}, "", "refuse")


def test_the_file_that_init_writes_says_only_defaults():
    found = parse(commented_defaults(), "lineclear.toml")
    assert found == Settings(origins={key.name: "default" for key in KEYS})


def test_uncommenting_every_line_of_it_changes_nothing():
    meanings = {key.meaning for key in KEYS}
    lines = [line.removeprefix("# ") for line in commented_defaults().splitlines()[2:] if line.removeprefix("# ") not in meanings]
    found = parse("\n".join(lines), "lineclear.toml")
    assert {getattr(found, key.attribute) == getattr(Settings(), key.attribute) for key in KEYS} == {True}
    assert "default" not in found.origins.values()


def test_values_are_read_with_the_line_that_they_came_from():
    text = 'parallelism = 3\n\n[steps]\ntz = "Europe/Berlin"  # theirs\ngrace_s = 2\n\n[images]\nalpine = "host"\n'
    found = parse(text, "lineclear.toml")
    assert (found.parallelism, found.tz, found.grace_s, found.images) == (
        3,
        "Europe/Berlin",
        2.0,
        {"host": Image(), "alpine": Image()},
    )
    origins = {name: place for name, place in found.origins.items() if place != "default"}
    assert origins == {
        "parallelism": "lineclear.toml:1",
        "steps.tz": "lineclear.toml:4",
        "steps.grace_s": "lineclear.toml:5",
        "images": "lineclear.toml:7",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nparalelism = 3", r"lineclear.toml:2: there is no setting 'paralelism'"),
        ("[steps]\npth = 'x'", r"lineclear.toml:2: there is no setting 'steps.pth'"),
        ("[stepz]\npath = 'x'", r"lineclear.toml:2: there is no setting 'stepz.path'"),
        ("parallelism = 0", r"the setting parallelism is 0: it must be a whole number, from 1 to 10000"),
        ("parallelism = true", r"the setting parallelism is True"),
        ("parallelism = 2.5", r"the setting parallelism is 2.5"),
        ("poll_interval_s = 'often'", r"it must be a number, from 0.1 to 86400"),
        ("compatibility = 'agro'", r"it must be one of '', 'argo'"),
        ("branch = '-x'", r"it must be a branch's name"),
        ("path = '../other'", r"it must be a folder inside the repository"),
        ("[images]\nalpine = 'docker'", r"image 'alpine' has the runtime 'docker'; there is host"),
        ("[images]\n\nx = {runtim = 'host'}", r"toml:3: image 'x' has the key 'runtim'; there is runtime, command, path"),
        ("[images]\nx = {pids = -1}", r"toml:2: image 'x' has the pids -1: it must be a whole number, from 0 to 4000000"),
        ("[steps]\ncpus = 0.001", r"toml:2: the setting steps.cpus is 0.001: it must be a number, 0 or from 0.01 to 10000"),
        ("[steps]\ngroups = 'on'", r"toml:2: the setting steps.groups is 'on': it must be one of 'auto', 'required', 'off'"),
        ("[images.'alpine:3']\nruntime = 'sandbox'\nroot = '/'", r"lineclear.toml:3: image 'alpine:3' has the key 'root'"),
        ("[images]\n# of ours\nhost = 'sandbox'", r"toml:3: image 'host' .*: it always means this machine"),
        ("[images]\nx = {command = 'sh -c'}", r"lineclear.toml:2: image 'x' has the command 'sh -c': it must be a list of texts"),
        ("[images.x]\npath = ['bin']", r"toml:2: image 'x' has the path \['bin'\]: it must be a list of folders"),
        ("[images]\nx = 3", r"lineclear.toml:2: image 'x' has the runtime 3; there is host, sandbox"),
        ("images = 3", r"it must be a table"),
        ("[notify]\n\ncmd = ['x']", r"lineclear.toml:3: there is no setting 'notify.cmd'"),
        ("[notify]\ncommand = 'page ops'", r"toml:2: the setting notify.command is 'page ops': it must be a list of texts"),
        ("[notify]\ncommand = ['page', 3]", r"it must be a list of texts, the program and its arguments"),
        ("[notify]\nevents = ['overdu']", r"toml:2: the setting notify.events is .*: held-for-a-failure, holder-unknown, "),
        ("[notify]\nevents = 'overdue'", r"it must be a list of these"),
        ("[notify]\ntimeout_s = 0", r"the setting notify.timeout_s is 0: it must be a number, from 0.1 to 3600"),
        ("[notify]\ndisk_low_mb = 1.5", r"it must be a whole number, from 0 to 1000000000"),
        ("[metrics]\nport = 9090", r"there is no setting 'metrics.port'"),
        ("[metrics]\nlisten = '0.0.0.0:9090'", r"toml:2: the setting metrics.listen is '0.0.0.0:9090': it must be a loopback"),
        ("parallelism = 1" + "0" * 27, r"the setting parallelism is 10+: it must be a whole number, from 1 to 10000"),
        ("parallelism = 1" + "0" * 5000, r"could not read the settings lineclear.toml: a number in it has too many digits"),
        ("steps.grace_s = nan", r"the setting steps.grace_s is nan: it must be a number, from 0 to 86400"),
        ("steps.grace_s = inf", r"the setting steps.grace_s is inf: it must be a number"),
        ("journal.keep_days = 3652060", r"it must be a whole number, from 1 to 36500"),
        ("limits.locks = 0", r"the setting limits.locks is 0: it must be a whole number, from 1 to 10000"),
        ("limits.frame_mb = 100000", r"it must be a whole number, from 1 to 256"),
        ("limits.connections = 2", r"it must be a whole number, from 8 to 4096"),
        ("x = " + "[" * 100_000, r"could not read the settings lineclear.toml: its values are nested too deep; no setting is"),
        ("journal.keep_days" + ".a" * 5000 + " = 1", r"there is no setting|nested too deep"),
        ("branch = '" + "-" * 5000 + "'", r"the setting branch is '-{100,199}\.\.\. \(5002 characters\): it must be"),
        ("x = ", r"could not read the settings lineclear.toml: .*"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_what_would_be_right(text, message):
    with pytest.raises(UsageError, match=message):
        parse(text, "lineclear.toml")


def test_an_image_is_mapped_by_text_or_by_a_table():
    text = """
[images]
alpine = "sandbox"
"python:*" = { runtime = "sandbox", command = ["python3", "-"], path = ["/opt/python/bin"], memory_mb = 500, cpus = 0.5 }
[images."registry.example/tool:3"]
command = ["tool"]
"""
    found = parse(text, "lineclear.toml")
    assert found.images == {
        "host": Image(),
        "alpine": Image(runtime="sandbox"),
        "python:*": Image(runtime="sandbox", command=("python3", "-"), path=("/opt/python/bin",), memory_mb=500, cpus=0.5),
        "registry.example/tool:3": Image(command=("tool",)),
    }
    assert parse(f"images = {shown_value(found.images)}", "lineclear.toml").images == found.images


@pytest.mark.parametrize(
    "listen", ["192.168.1.7:1", "[::]:1", "::1:1", "localhost:1", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", ":1", "[::1]", 1]
)
def test_metrics_are_served_at_a_loopback_address_with_a_port_and_nowhere_else(listen):
    with pytest.raises(UsageError, match="it must be a loopback address and a port"):
        parse(f"metrics.listen = {json.dumps(listen)}", "lineclear.toml")


def test_who_is_told_is_a_command_and_kinds_of_events():
    found = parse('notify.command = ["page", "ops"]\n[metrics]\nlisten = "[::1]:9090"\n', "lineclear.toml")
    assert (found.notify_command, loopback(found.metrics_listen)) == (("page", "ops"), ("::1", 9090))
    assert found.telling.kinds == set(ALL_KINDS)
    assert Settings().telling.kinds == set()
    assert parse('[notify]\ncommand = ["page"]\nevents = ["overdue"]\n', "x").telling.kinds == {"overdue"}
    assert parse("[notify]\n[metrics]\n", "x").notify_command == ()


def test_a_file_that_others_may_write_is_not_used(tmp_path):
    path = tmp_path / "lineclear.toml"
    path.write_text("parallelism = 3\n")
    path.chmod(0o660)
    with pytest.raises(UsageError, match=r"others may write them \(mode 0660\); run: chmod 600"):
        load(Home(str(tmp_path)))
    path.chmod(0o640)
    assert load(Home(str(tmp_path))).parallelism == 3


def test_every_number_has_a_highest_value():
    def is_taken(key, value):
        return key.check(value) == ""

    numbers = [key for key in KEYS if is_taken(key, 1) or is_taken(key, 8)]
    assert len(numbers) > 10
    assert [key.name for key in numbers if is_taken(key, 10**27) or is_taken(key, float("inf")) or is_taken(key, -1)] == []


def test_what_is_no_file_is_not_waited_for(tmp_path):
    path = tmp_path / "lineclear.toml"
    os.mkfifo(path, 0o600)
    with pytest.raises(UsageError, match=r"could not read the settings .*: it is a FIFO and no regular file"):
        load(Home(str(tmp_path)))
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"it is a device and no regular file"):
        load(Home(str(tmp_path)))
    path.unlink()
    path.write_text("# " + "x" * 1_000_000)
    path.chmod(0o600)
    with pytest.raises(UsageError, match=r"it holds more than 1000000 bytes"):
        load(Home(str(tmp_path)))


def test_the_command_prints_each_setting_with_its_origin(tmp_path, lineclear):
    home = tmp_path / "home"
    home.mkdir()
    (home / "lineclear.toml").write_text('parallelism = 3\nimages.alpine = { runtime = "sandbox", command = ["sh"] }\n')
    (home / "lineclear.toml").chmod(0o600)
    lines = lineclear("settings").out.splitlines()
    assert lines[2].split() == ["parallelism", "3", "lineclear.toml:1"]
    assert len(lines) == 2 + len(KEYS)
    images = lines[-1].removesuffix("lineclear.toml:2").split(maxsplit=1)[1].rstrip()
    assert images == '{ host = "host", alpine = { runtime = "sandbox", command = ["sh"] } }'
    values = json.loads(lineclear("settings", "-o", "json").out)["values"]
    assert values["parallelism"] == 3
    assert values["images"] == {"host": {"runtime": "host"}, "alpine": {"runtime": "sandbox", "command": ["sh"]}}
    (home / "lineclear.toml").write_text("paralelism = 3\n")
    found = lineclear("settings")
    assert (found.code, found.err.startswith("lineclear: lineclear.toml:1: there is no setting")) == (2, True)


def test_lint_beside_a_home_without_groups_tells_what_is_weaker(lineclear, tmp_path):
    manifest = tmp_path / "plain.yaml"
    manifest.write_text("kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n")
    assert lineclear("lint", str(manifest)).err == ""  # no home
    assert lineclear("init", "--empty").code == 0
    file = tmp_path / "home" / "lineclear.toml"
    file.write_text(file.read_text().replace('# groups = "auto"', 'groups = "off"'))
    told = lineclear("lint", str(manifest))
    assert told.code == 0
    assert told.err == (
        "note: steps run without control groups (steps.groups is off): if a shim is killed, its holder is unknown and waits"
        " for a person\n"
    )
