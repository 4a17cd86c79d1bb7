"""The reference pages say what the program does: every command, option, word and setting, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler import errors
from reconciler.cli.dispatch import parser_of
from reconciler.cli.options import sentence
from reconciler.cli.table import COMMANDS, GROUPS
from reconciler.setting_keys import KEYS
from reconciler.settings import Settings, shown_value

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
COMMANDS_PAGE = (REFERENCE / "commands.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (REFERENCE / "settings.md").read_text(encoding="utf-8")
EVERYWHERE = {"--home", "-n", "--namespace", "-h", "--help", "-o", "--output", "--no-headers", "-A", "--all-namespaces"}
PARTS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", COMMANDS_PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_has_each_command_in_its_group_and_order():
    assert list(PARTS) == list(COMMANDS)
    titles = re.findall(r"^## (.+)$", COMMANDS_PAGE, re.MULTILINE)
    assert [title for title in titles if title not in ("Everywhere", "Exit codes")] == [title for title, _ in GROUPS]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_part_has_its_summary_words_and_options_and_no_other(command):
    parser, _ = parser_of(command)
    part = PARTS[command]
    assert sentence(parser.summary) in part
    assert all(f"| `{word.name}` |" in part for word in parser.positionals)
    table = re.findall(r"^\| (`.*?) \| ", part, re.MULTILINE)
    written = {name for cell in table for name in re.findall(r"`(-[-\w]+)", cell)}
    options = {name for option in parser.options for name in option.names}
    assert written - EVERYWHERE == options - EVERYWHERE
    assert all(option.help.replace("|", "\\|") in part for option in parser.options if not set(option.names) & EVERYWHERE)
    assert all(line.strip() in part for note in parser.notes for line in note.splitlines())


def test_the_exit_codes_are_those_of_the_errors():
    table = COMMANDS_PAGE.partition("## Exit codes")[2].partition("##")[0]
    written = {int(code) for code in re.findall(r"^\| (\d) \|", table, re.MULTILINE)}
    raised = {
        value.exit_code for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.LineclearError)
    }
    assert written == raised | {0}


def test_the_settings_page_has_each_setting_with_its_default_and_meaning():
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+) \|$", SETTINGS_PAGE, re.MULTILINE)
    defaults = Settings()
    expected = [(key.name, f"`{shown_value(getattr(defaults, key.attribute))}`", key.meaning) for key in KEYS]
    expected[0] = ("parallelism", "4 for each core", KEYS[0].meaning)
    assert rows == expected
