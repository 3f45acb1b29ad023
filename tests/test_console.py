"""Lines of progress that replace each other on a terminal."""

import os

import pytest

from jaxpercept.runtime.console import Console


@pytest.mark.parametrize(
    ("length", "start"),
    [(80, "\r\x1b[K"), (81, "\x1b[1A\r\x1b[J"), (241, "\x1b[3A\r\x1b[J")],
)
def test_a_line_of_several_rows_is_replaced_whole(monkeypatch, capsys, length, start):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((80, 24)))
    with Console() as console:
        console.say("x" * length, live=True)
        console.say("next", live=True)
        assert capsys.readouterr().err == f"\r\x1b[K{'x' * length}{start}next"
        console.say("last")
        assert capsys.readouterr().err == "\nlast\n"
