"""The `menulens` command: what it says of errors."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import psutil
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from menulens import cli
from menulens.cloud import STATE_VARIABLE, CloudError
from menulens.local.cloud_state import CloudState, ServerRecord
from menulens.search.embedding import Embedded
from menulens.storage import Storage, StorageError


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


def should_keep_a_traceback_where_it_can_when_the_state_folder_is_none(state, monkeypatch, capsys, tmp_path):
    state.write_text("a file")
    monkeypatch.setattr(cli.tempfile, "gettempdir", lambda: str(tmp_path))
    failing_with(monkeypatch, ValueError("no such thing"))

    with pytest.raises(SystemExit):
        cli.main()

    assert "error: ValueError: no such thing" in capsys.readouterr().err
    assert "Traceback" in (tmp_path / "menulens-error.log").read_text()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StorageError("s3://b/x: no such bucket."), "error: s3://b/x: no such bucket."),
        (NoCredentialsError(), "credentials. Sign in to the account first: aws sso login"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/"), "Start it again: menulens local up"),
        (EndpointConnectionError(endpoint_url="https://sts.amazonaws.com/"), "Is there a network"),
    ],
)
def should_say_what_to_do_where_a_cloud_is_not_reached(state, monkeypatch, capsys, error, told):
    failing_with(monkeypatch, error)

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 1
    assert told in capsys.readouterr().err
    assert not state.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("label import {here}/photo.jpg --dry-run", "its ending tells no format; say it: --format label-studio|csv"),
        ("label import {here} --format csv --dry-run", "a folder, where a file is due"),
        ("label import {here}/table.csv --dry-run", "there are: dish, price. Say which one holds the photo"),
        ("label import {here}/table.csv --dry-run", "--source-column NAME"),
        ("local status --state {here}/table.csv", "is a file"),
        ("local up --port 70000", "65535"),
        ("clean {here}/table.csv --photo-bucket s3://photos", "a bucket's name alone is due"),
        ("clean {here}/table.csv --config {here}", "is a directory"),
        ("backbone stage inception_v2 --name [/Mine]", "--name [/Mine]: not allowed"),
        ("backbone stage inception_v2 --image-size 0", "32"),
        ("experiment --source {here}", "the s3:// of a packed training source is due"),
    ],
)
def should_say_what_is_wrong_with_what_was_typed(state, monkeypatch, capsys, tmp_path, words, told):
    state.mkdir()
    cloud = {"endpoint_url": "http://127.0.0.1:9", "access_key": "000000000000"}
    (state / "cloud.json").write_text(json.dumps(cloud))
    (tmp_path / "photo.jpg").write_text("no photo")
    (tmp_path / "table.csv").write_text("dish,price\nsoba,900\n")
    monkeypatch.setenv(STATE_VARIABLE, str(state))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["menulens", *words.format(here=tmp_path).split()])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err
    assert ended.value.code in {1, 2}
    assert told in said.replace("\n", " ")
    assert "Traceback" not in said
    assert not (state / "error.log").exists()


@pytest.mark.parametrize("content", [None, "", "{"])
def should_take_a_state_that_says_nothing_for_no_cloud(state, monkeypatch, capsys, content):
    if content is not None:
        state.mkdir()
        (state / "cloud.json").write_text(content)
    monkeypatch.setenv(STATE_VARIABLE, str(state))
    monkeypatch.setattr(sys, "argv", ["menulens", "tag", "photos/"])

    with pytest.raises(SystemExit):
        cli.main()

    assert "error: No local cloud is up here. Start one: menulens local up" in capsys.readouterr().err


def should_not_take_another_port_for_the_one_of_a_cloud_that_runs(state, monkeypatch, capsys):
    state.mkdir()
    cloud = CloudState(state)
    cloud.note_server(ServerRecord(os.getpid(), psutil.Process().create_time(), port=4001, labeling_port=4002))
    cloud.note_ready({"pid": os.getpid()})
    monkeypatch.setattr(sys, "argv", f"menulens local up --no-deploy --port 4003 --state {state}".split())

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "A local cloud runs at port 4001 here; end it first: menulens local down" in said.replace("\n", " ")
    assert cloud.cloud() == {"pid": os.getpid()}


def should_leave_nothing_beside_a_file_that_can_not_be_written(tmp_path):
    (tmp_path / "there").mkdir()

    with pytest.raises(IsADirectoryError):
        Storage().write_text(str(tmp_path / "there"), "x")

    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def should_make_the_folder_that_vectors_are_to_go_to(state, monkeypatch, tmp_path):
    class Room:
        def embed(self, photos):
            return (Embedded(photo, "v1", np.ones(2, np.float32), "meal", 0.9) for photo in photos)

    monkeypatch.setattr(sys.modules["menulens.cli.embed"], "open_room", lambda _: Room())
    out = tmp_path / "new" / "vectors.npy"
    monkeypatch.setattr(sys, "argv", ["menulens", "embed", "a.jpg", "b.jpg", "--out", str(out)])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 0
    assert not state.exists()
    assert np.load(out).tolist() == [[1.0, 1.0]] * 2
