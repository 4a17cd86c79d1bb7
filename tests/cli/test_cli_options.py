"""How a command line is read: every spelling of an option, and errors that say what is wrong and what is near."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.dispatch import parser_of, split_words
from reconciler.cli.options import HelpWanted, Parser
from reconciler.cli.table import COMMANDS
from reconciler.errors import UsageError


def parse(*words):
    parser = Parser("try", "try things")
    parser.output()
    parser.everywhere()
    parser.positional("RUN", "1", "a run")
    parser.positional("MORE", "*", "more")
    parser.option("-p", "--parameter", metavar="K=V", text="a parameter", many=True)
    parser.option("--how", metavar="WAY", text="a way", choices=("fast", "slow"))
    parser.flag("-f", "--follow", text="follow")
    return parser.parse(list(words))


@pytest.mark.parametrize(
    "words",
    [
        ["r", "-o", "json", "-n", "prod", "-A"],
        ["-ojson", "-nprod", "-A", "r"],
        ["--output=json", "r", "--namespace=prod", "--all-namespaces"],
        ["-A", "--output", "json", "--namespace", "prod", "r"],
        ["-Ao", "json", "-n=prod", "r"],
        ["-n", "prod", "-A", "-o=json", "--", "r"],
    ],
)
def test_every_spelling_of_an_option_means_the_same(words):
    args = parse(*words)
    assert (args.text("RUN"), args.text("output"), args.text("namespace"), args.flag("all-namespaces")) == (
        "r",
        "json",
        "prod",
        True,
    )


def test_values_may_begin_with_a_dash_or_hold_an_equals_sign():
    args = parse("r", "-p", "a=-1=x", "--parameter=b=", "-n", "-odd")
    assert args.many("parameter") == ["a=-1=x", "b="]
    assert args.text("namespace") == "-odd"


def test_after_two_dashes_and_for_one_alone_everything_is_a_word():
    args = parse("r", "-", "--", "-o", "--follow")
    assert args.many("MORE") == ["-", "-o", "--follow"]
    assert not args.flag("follow")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "RUN is missing"),
        (["r", "--outptu", "json"], "there is no option --outptu; did you mean --output?"),
        (["r", "-x"], "there is no option -x"),
        (["r", "-fx"], r"there is no option -x \(in -fx\)"),
        (["r", "-o"], "-o wants a value"),
        (["r", "--follow=yes"], "--follow takes no value, 'yes' was given"),
        (["r", "--how", "fsat"], "--how is one of fast, slow, not 'fsat'"),
    ],
)
def test_an_error_says_what_is_wrong_and_where_the_help_is(words, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse(*words)
    assert "see `lineclear try --help`" in str(caught.value)


def test_help_is_asked_for_even_among_words_that_are_wrong():
    with pytest.raises(HelpWanted):
        parse("-h")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--home", "list", "locks", "-A"], (["--home", "list"], "locks", ["-A"])),
        (["-n", "prod", "-A", "get", "x"], (["-n", "prod", "-A"], "get", ["x"])),
        (["--home=x", "-ojson"], (["--home=x", "-ojson"], "", [])),
        ([], ([], "", [])),
    ],
)
def test_global_options_may_stand_before_the_command(words, expected):
    assert split_words(words) == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_names_each_of_its_options(command):
    parser, module = parser_of(command)
    text = parser.help()
    assert text.startswith(f"usage: lineclear {command} ")
    assert all(option.help and max(option.names, key=len) in text for option in parser.options)
    assert callable(module.run)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_two_options_of_a_command_share_a_name(command):
    names = [name for option in parser_of(command)[0].options for name in option.names]
    assert len(names) == len(set(names))


def test_the_program_tells_of_unknown_commands_and_prints_its_overview(lineclear):
    unknown = lineclear("lokcs")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err == "lineclear: there is no command 'lokcs'; did you mean locks?; see `lineclear --help`\n"
    overview = lineclear("--help")
    assert overview.code == 0
    assert all(f"  {command} " in overview.out for command in COMMANDS)
    assert lineclear().code == 2
    assert lineclear("locks", "--help").out == lineclear("help", "locks").out


WORD = st.text(max_size=6) | st.sampled_from(
    ["-o", "--output=x", "-A", "--", "-", "-pA=b", "--how", "fast", "-h", "-fA", "--help"]
)


@given(st.lists(WORD, max_size=8))
def test_any_words_are_read_or_refused_and_nothing_else_happens(words):
    try:
        args = parse(*words)
    except (UsageError, HelpWanted):
        return
    assert args.given("RUN")


@given(st.lists(WORD, max_size=8))
def test_the_words_around_a_command_are_all_kept(words):
    before, command, after = split_words(words)
    assert before + ([command] if command else []) + after == words or not command
