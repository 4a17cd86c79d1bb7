"""Logs are read in bounded pieces of whole lines, whatever lies in the file and whatever happens to it."""

import random

import pytest

from tui.core.logs import LINE_BYTES, read_log
from tui.core.model import Failure


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"")
    return path


def read(path, offset=0, *, is_over=False, limit=1 << 18):
    return read_log(str(path), 7, offset, limit=limit, is_over=is_over)


def test_a_line_is_shown_when_it_is_whole(log):
    log.write_bytes(b"one\ntw")
    first = read(log)
    assert (first.lines, first.offset, first.has_more, first.is_ended) == (("one",), 4, False, False)
    with log.open("ab") as file:
        file.write(b"o\nthree")
    second = read(log, first.offset)
    assert (second.lines, second.begin) == (("two",), 4)
    last = read(log, second.offset, is_over=True)
    assert (last.lines, last.is_ended) == (("three",), True)


def test_empty_lines_stay(log):
    log.write_bytes(b"\n\na\n\n")
    assert read(log).lines == ("", "", "a", "")


@pytest.mark.parametrize("limit", [64, 100, 1000, 1 << 16])
def test_pieces_put_together_are_the_file(log, limit):
    source = random.Random(limit)
    lines = ["x" * source.choice([0, 1, 7, 30, 60]) + "é" for _ in range(500)]
    log.write_bytes("\n".join(lines).encode() + b"\n")
    found, offset = [], 0
    while True:
        chunk = read(log, offset, limit=limit, is_over=True)
        assert chunk.begin == offset
        found += chunk.lines
        offset = chunk.offset
        if chunk.is_ended:
            break
        assert chunk.has_more
    assert found == lines


@pytest.mark.parametrize("is_over", [False, True])
def test_a_megabyte_without_a_line_end_comes_in_pieces(log, is_over):
    log.write_bytes(b"x" * (1 << 20))
    size, offset = 0, 0
    for _ in range(10):
        chunk = read(log, offset, is_over=is_over)
        size, offset = size + sum(map(len, chunk.lines)), chunk.offset
    assert size == 1 << 20


def test_the_end_of_a_long_log_is_read_from_a_whole_line_on(log):
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(10_000)))
    chunk = read(log, -100)
    assert chunk.lines[-1] == "line 9999"
    assert all(line.startswith("line ") for line in chunk.lines)
    assert chunk.skipped == chunk.begin > 0
    assert read(log, -(1 << 30)).lines[0] == "line 0"


def test_what_is_no_utf_8_is_replaced(log):
    log.write_bytes(b"a\xff\xfeb\n\xc3\n")
    assert read(log).lines == ("a��b", "�")


def test_a_log_that_was_cut_short_is_read_from_its_beginning(log):
    log.write_bytes(b"new\n")
    chunk = read(log, 5000)
    assert (chunk.lines, chunk.begin) == (("new",), 0)


def test_a_log_that_is_not_there_yet_is_empty_and_one_that_is_gone_is_told(log):
    log.unlink()
    assert (read(log, 0).lines, read(log, 0).is_ended) == ((), False)
    gone = read(log, 0, is_over=True)
    assert (type(gone), gone.kind) == (Failure, "missing")


def test_a_log_that_is_a_folder_is_a_sentence(tmp_path):
    assert read(tmp_path).kind == "unreadable"


def test_a_long_line_is_no_reason_to_wait_for_ever(log):
    log.write_bytes(b"y" * LINE_BYTES)
    assert len(read(log).lines[0]) == LINE_BYTES
