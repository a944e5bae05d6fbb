"""Labels by machine and the audit of labels on a deployed cloud, by the commands that an owner runs."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from menulens.cli._label_cloud import open_labeling
from menulens.core import keys
from menulens.portal import automation, reading, rebuild
from menulens.portal.context import Portal
from tests.end_to_end.cloud import Site, wait_for

JOB = "by-machine"
FIRST = 36
"""Photos that people label before the machine is asked."""
LEFT = 80
"""Photos that nobody has answered by then."""
ALLOWED = 0.45
"""So large an error may machine labels have here: there are too few photos to prove less."""


@pytest.fixture(autouse=True, scope="module")
def _without_training(site: Site) -> Iterator[None]:
    """What these tests label is not trained on: training has tests of its own."""
    with site.deaf("train", to=keys.DATASET_READY):
        yield


@pytest.fixture(autouse=True)
def portal(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Portal:
    """The deployed portal, by settings of which the bound can be proven with a hundred photos."""
    told = Path("config/local.toml").read_text(encoding="utf-8")
    lenient = told.replace("[portal]\n", f"[portal]\nmachine_error = {ALLOWED}\nmachine_certainty = 0.8\n")
    assert lenient != told
    (tmp_path / "local.toml").write_text(lenient, encoding="utf-8")
    monkeypatch.setenv("MENULENS_CONFIG", str(tmp_path))
    monkeypatch.setenv("MENULENS_STATE", str(site.state))
    return open_labeling("local").portal


def _manifest(site: Site) -> str:
    """Write a manifest of the site's own photos: whatever other tests upload is no matter of these."""
    place, bucket = f"{JOB}.manifest", site.cloud.bucket("photos")
    own = [photo for photo in sorted(site.categories) if re.fullmatch(r"photos/[^/]+/\d{4}\.(jpg|png)", photo)]
    random.Random(3).shuffle(own)  # people begin with the first: some of every category and of most restaurants
    lines = [json.dumps({"source-ref": f"s3://{bucket}/{photo}"}) + "\n" for photo in own]
    assert len(lines) > FIRST
    site.put("labels", place, "".join(lines).encode())
    return f"s3://{site.cloud.bucket('labels')}/{place}"


def _vectors(site: Site, model: str, *, astray: set[str]) -> None:
    """Write vectors of the photos as the machine ``vectorise`` leaves them; some look like another category."""
    every = [one.key for one in site.cloud.settings.categories]
    generator = np.random.default_rng(1)
    centres = np.linalg.qr(generator.normal(size=(64, 64)))[0][: len(every)]
    found = []
    for photo in sorted(site.categories):
        place = every.index(site.categories[photo]) + (photo in astray)
        vector = centres[place % len(every)] + 0.3 * generator.normal(size=64) / 8
        found.append(vector / np.linalg.norm(vector))
    body = io.BytesIO()
    np.save(body, np.array(found, dtype=np.float32))
    site.put("vectors", f"{model}/shards/plan-000000.npy", body.getvalue())
    ids = "".join(json.dumps({"id": photo}) + "\n" for photo in sorted(site.categories))
    site.put("vectors", f"{model}/shards/plan-000000.ids.jsonl", ids.encode())
    site.put("vectors", f"{model}/done/plan.json", b"{}")


def _said(site: Site, *arguments: str) -> str:
    done = site.menulens("label", *arguments)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _automate(site: Site, model: str, until: str) -> str:
    """Run the command and answer what it has asked, until it says so."""

    def look() -> str | None:
        said = _said(site, "automate", JOB, "--model-version", model)
        if until in said:
            return said
        assert "People are asked about the" in said or "people are asked about the most uncertain" in said, said
        site.label(JOB, until=site.job(JOB)["done"] + 8)
        return None

    return wait_for(until, look, 500)


def _key(site: Site, photo: str) -> str:
    return photo.removeprefix(f"s3://{site.cloud.bucket('photos')}/")


def should_let_machine_labels_stand_only_where_people_find_them_right(site: Site, portal: Portal) -> None:
    execution = site.start("label", manifest=_manifest(site), job_name=JOB)
    site.open_job(JOB)
    site.label(JOB, until=FIRST, leave=LEFT)
    job = reading.get(portal, JOB)
    photo_of = automation.references(portal, job)
    known = automation.people_labels(reading.items(portal, job))
    seen = {_key(site, photo_of[it.lines[0]]) for it in reading.items(portal, job) if it.id in known}
    assert len(seen) >= FIRST // 2

    # One model has learned by heart what people labeled, and is wrong about all else.
    _vectors(site, "by-heart", astray=set(site.categories) - seen)
    refused = _automate(site, "by-heart", "The machine is wrong too often")
    assert "Batch 1 of by-heart" in refused
    assert "People are spared 0 photos" in refused
    # Another takes every twelfth photo for something else, which is less than is allowed.
    _vectors(site, "rough", astray=set(sorted(site.categories)[::12]))
    stood = _automate(site, "rough", "The machine's labels stand")
    assert "Batch 2 of rough" in stood
    site.label(JOB)
    output = site.output(execution)

    attribute = site.cloud.settings.labeling.label_attribute
    labeled = [line for line in site.lines(site.labels(JOB)) if attribute in line]
    told = {_key(site, line["source-ref"]): line[f"{attribute}-metadata"] for line in labeled}
    machine = {photo: one["class-name"] for photo, one in told.items() if one["human-annotated"] == "no"}
    assert len(machine) > 10
    assert 0 < sum(site.categories[photo] != label for photo, label in machine.items()) <= ALLOWED * len(machine)
    people = {photo: one["class-name"] for photo, one in told.items() if photo not in machine}
    assert all(site.categories[photo] == label for photo, label in people.items())
    card = site.card(output["cleaned"][keys.DATASET])
    assert card["human"] + card["machine"] == card["kept"]
    assert 0 < card["machine"] <= len(machine)

    assert "the log is as it was written" in _said(site, "verify", JOB)
    through = json.loads(site.read(f"s3://{portal.labels_bucket}/jobs/{JOB}/card.json"))["log"]["seq"]
    assert rebuild.rebuild(portal, JOB, through=through).manifest == site.read(site.labels(JOB))


def should_make_a_dataset_of_what_an_audit_corrects_and_tell_what_changed(site: Site, portal: Portal) -> None:
    before = site.labeled(site.labels(JOB))
    wrong = {photo for photo, label in before.items() if site.categories[_key(site, photo)] != label}
    assert wrong
    _vectors(site, "sharp", astray=set())
    opened = _said(site, "audit", JOB, "--model-version", "sharp")
    found = re.search(r"Opened (\S+):", opened)
    assert found is not None, opened
    review = found[1]
    site.open_job(review)
    site.label(review)
    known = set(site.known("clean"))
    told = _said(site, "audit", review, "--apply")
    assert set(site.known("clean")) - known
    counted = re.search(r"(\d+) labels of by-machine were looked at again, (\d+) changed, 0 are not settled", told)
    assert counted is not None, told
    dataset = re.search(r"Dataset: (s3://\S+)", told)
    assert dataset is not None, told
    card = json.loads(site.read(f"{dataset[1].rstrip('/')}/card.json"))
    after = site.labeled(card["source"]["uri"])
    changed = {photo for photo, label in after.items() if before.get(photo) != label}
    assert changed <= wrong
    # How many of the wrong ones an audit finds is told by tests of more photos.
    assert len(changed) == int(counted[2]) > 0
    assert all(f"{photo}: {before[photo]} → {after[photo]}" in told for photo in sorted(changed)[:5])
    assert all(site.categories[_key(site, photo)] == after[photo] for photo in changed)
    assert card["source"]["lines"] == card["kept"] + card["rejected"]
