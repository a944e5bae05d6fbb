"""The `menulens` command: what it says of errors."""

from __future__ import annotations

import sys

import pytest

from menulens import cli
from menulens.cloud import CloudError


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "LOCAL_STATE", tmp_path / "state")
    monkeypatch.setattr(sys, "argv", ["menulens", "version"])
    return tmp_path / "state"


def failing_with(monkeypatch, error: Exception) -> None:
    def fail(_text: str) -> None:
        raise error

    monkeypatch.setattr(cli.typer, "echo", fail)


def should_tell_of_an_error_that_nobody_foresaw_in_two_lines_and_keep_its_traceback(state, monkeypatch, capsys):
    failing_with(monkeypatch, ValueError("no [such] thing\nand more"))

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err.replace("\n", " ")
    assert ended.value.code == 1
    assert "error: ValueError: no [such] thing" in said
    assert str(state / "error.log") in said
    assert "Traceback" not in said
    assert "Traceback" in (state / "error.log").read_text()
    assert "and more" in (state / "error.log").read_text()


def should_tell_of_a_mistake_of_the_user_in_its_own_words(state, monkeypatch, capsys):
    failing_with(monkeypatch, CloudError("No local cloud is up here."))

    with pytest.raises(SystemExit):
        cli.main()

    assert "error: No local cloud is up here." in capsys.readouterr().err
    assert not state.exists()
