"""One local cloud for all tests that need a deployed one, brought up by the command that the README names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import psutil
import pytest

from demo.pictures import make_pictures
from menulens.cloud import Cloud
from menulens.local.cloud_state import CloudState
from menulens.settings import CONFIG_FOLDER, settings_of
from tests.end_to_end.cloud import Site, config_of, run_menulens

PICTURES = 150
SMALL = {
    # A stopped job has labels for some of the pictures only: by chance for fewer than ten of a category.
    "[split]\n": "[split]\nmin_per_category = 3\n",
    # Training takes half the time that it takes at 224 pixels …
    "[training]\n": "[training]\nimage_size = 160\n",
    # … and a model of a hundred icons is right less often; one that guesses is right in a fifth.
    "min_accuracy = 0.5\n": "min_accuracy = 0.35\n",
    "min_class_recall = 0.2\n": "min_class_recall = 0\n",
}
"""What the end-to-end tests' settings have otherwise than those of the local cloud."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A deployed local cloud with pictures in its photo bucket."""
    state = tmp_path_factory.mktemp("cloud") / "state"
    config = config_of(state)
    _write_settings(config)
    pictures = tmp_path_factory.mktemp("pictures")
    made = make_pictures(pictures, PICTURES)
    try:
        up = run_menulens(state, "local", "up", seconds=700.0)
        assert up.returncode == 0, f"{up.stdout}\n{up.stderr}"
        description = json.loads((state / "cloud.json").read_text())
        settings = settings_of("local", config)
        session = boto3.Session(
            aws_access_key_id=description["access_key"],
            aws_secret_access_key=description["access_key"],
            region_name=settings.region,
        )
        site = Site(Cloud(settings, session, description["endpoint_url"]), state, description)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: site.put("photos", one.key, (pictures / one.key).read_bytes()), made))
        site.truth = {
            hashlib.sha256((pictures / one.key).read_bytes()).hexdigest(): one.category or "not-for-training"
            for one in made
        }
        site.categories = {one.key: one.category or "not-for-training" for one in made}
        yield site
    finally:
        down = run_menulens(state, "local", "down")
    assert down.returncode == 0, down.stderr
    _nothing_is_left(state, [description["endpoint_url"], description["labeling_url"]])
    CloudState(state).clear()


def _write_settings(folder: Path) -> None:
    text = (CONFIG_FOLDER / "local.toml").read_text(encoding="utf-8")
    for usual, small in SMALL.items():
        assert usual in text
        text = text.replace(usual, small)
    folder.mkdir()
    (folder / "local.toml").write_text(text, encoding="utf-8")


def _nothing_is_left(state: Path, urls: list[str]) -> None:
    cloud = CloudState(state)
    assert cloud.processes() == []
    assert cloud.fifos() == []
    ports = {int(url.rpartition(":")[2]) for url in urls}
    listening = {one.laddr.port for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    assert not ports & listening
