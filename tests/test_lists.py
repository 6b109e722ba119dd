"""Lists in a terminal: lines fit the window, and no name is broken; what a pipe reads is as long as it is."""

import os
import shutil

import pytest

from rbench.cli import run
from rbench.cli._app import NARROWEST, done, tabled
from rbench.cli.shelves import _some

ROWS = [{"name": f"suite-{i}", "what": "alpha-beta gamma-delta " * i} for i in range(1, 5)]


@pytest.fixture
def window(monkeypatch):
    """A terminal of so many columns, or none."""

    def opened(width, terminal=True):
        monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
        monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)

    return opened


@pytest.mark.parametrize("width", [200, 60, 45])
def test_lines_fit_the_window_and_keep_every_word(window, width):
    window(width)
    text = tabled(ROWS)
    assert max(map(len, text.splitlines())) <= width
    assert text.split()[3:].count("alpha-beta") == 1 + 2 + 3 + 4
    assert text.split()[3:].count("gamma-delta") == 1 + 2 + 3 + 4


def test_a_column_is_never_narrower_than_it_can_be_read(window):
    window(5)
    rule = tabled(ROWS).splitlines()[1].split()
    assert rule[-1] == "-" * len("alpha-beta gamma-delta")  # as much of whole words as NARROWEST has room for
    assert len(rule[-1]) <= NARROWEST


def test_a_pipe_gets_a_line_a_row(window):
    window(20, terminal=False)
    assert len(tabled(ROWS).splitlines()) == 2 + len(ROWS)


def test_a_list_of_nothing_is_empty(window):
    window(20)
    assert tabled([]) == ""


def test_lists_name_some_scores_of_many(capsys):
    assert _some(list("abcdefg")) == "a, b, c, d, e, f, g"
    assert _some(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
    assert run(["ls", "suites"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[1] == "cifar10-c"]
    assert line.rstrip().endswith("and 11 more")  # of 15 corruptions, their mean and clean images


@pytest.mark.parametrize(("count", "words"), [(0, "nothing to do"), (1, "1 block run"), (2, "2 blocks run")])
def test_blocks_are_counted_in_words(count, words):
    assert done(count) == words
