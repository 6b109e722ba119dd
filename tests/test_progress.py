"""Progress on stderr."""

import string

from rbench.progress import progress_bar

NAME = "/".join(string.ascii_lowercase) + "-" + string.ascii_uppercase * 2


def test_a_long_name_is_shown_in_full(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar(show=True) as bar:
        bar.begin(NAME, 0, 2)
        bar.tick(3)
        bar.advance(2)
    shown = capsys.readouterr().err
    assert "…" not in shown
    left, _, _ = zip(*(line.partition(" ") for line in shown.splitlines()), strict=True)
    assert "".join(left).replace("\n", "") == NAME
    assert "2/2" in shown
