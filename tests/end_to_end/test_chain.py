"""One ``label`` execution, answers, and everything after it by events: photos in, similar photos out."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from menulens.core import keys
from tests.end_to_end.cloud import Site, wait_for

EXTRA = 2 + 7  # exact duplicates are 2 % of the pictures; one broken file of each kind


@pytest.fixture(scope="module")
def chain(site: Site) -> dict[str, Any]:
    """The outputs of every stage, each started by the event of the one before."""
    before = {machine: site.known(machine) for machine in ("train", "deploy", "vectorise")}
    label = site.start("label", photos="photos/")
    job = wait_for("the labeling job", lambda: _open_labeling_job(site), 120)
    site.label(job)
    outputs: dict[str, Any] = {"job": job, "label": site.output(label)}
    for machine in ("train", "deploy", "vectorise"):
        outputs[machine] = site.output(site.triggered(machine, before[machine]), 400)
    return outputs


def _open_labeling_job(site: Site) -> str | None:
    jobs = [row for row in site.owner.get("/api/owner/jobs")["jobs"] if row["job"].startswith("menulens-")]
    return str(jobs[0]["job"]) if jobs and jobs[0]["state"] == "open" else None


def _any_photo(site: Site) -> bytes:
    key = next(key for key in site.keys("photos", "photos/") if key.endswith("0.jpg"))
    return site.read(f"s3://{site.cloud.bucket('photos')}/{key}")


def should_account_for_every_photo_on_the_way(site: Site, chain: dict[str, Any]) -> None:
    labels, photos = site.cloud.bucket("labels"), site.keys("photos", "photos/")
    asked = site.lines(f"s3://{labels}/inputs/{chain['job']}/input.manifest")
    rejected = site.lines(f"s3://{labels}/inputs/{chain['job']}/rejects.jsonl")
    assert len(asked) + len(rejected) == len(photos)
    reasons = {json.loads(line["original"])["source-ref"].rpartition("/")[2]: line["code"] for line in rejected}
    for broken in ("notes.jpg", "logo.jpg", "empty.jpg", "poster.png", "blinking.gif", "half-header.jpg"):
        assert broken in reasons, f"{broken} was let through"
    lines = site.read(site.labels(chain["job"])).splitlines()
    assert len(lines) == len(asked)
    card = site.card(chain["label"]["cleaned"][keys.DATASET])
    assert card["kept"] + card["rejected"] == len(lines)
    folder = chain["label"]["cleaned"][keys.DATASET_URI]
    kept = site.read(f"{folder}train.manifest").splitlines() + site.read(f"{folder}eval.manifest").splitlines()
    assert len(kept) == card["kept"]
    assert set(kept) <= set(lines)
    assert len(site.lines(f"{folder}rejects.jsonl")) == card["rejected"]
    assert card["reasons"].get("not-for-training", 0) > 0


def should_keep_a_restaurant_on_one_side(site: Site, chain: dict[str, Any]) -> None:
    folder = chain["label"]["cleaned"][keys.DATASET_URI]
    sides = [
        {line["source-ref"].split("/")[4] for line in site.lines(f"{folder}{side}.manifest")}
        for side in ("train", "eval")
    ]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def should_register_a_model_that_beats_guessing(site: Site, chain: dict[str, Any]) -> None:
    package = site.cloud.client("sagemaker").describe_model_package(ModelPackageName=chain["train"][keys.MODEL_PACKAGE])
    assert package["ModelApprovalStatus"] == "Approved"
    assert float(chain["train"]["accuracy"]) > 1 / len(site.cloud.settings.classes)


def should_have_a_vector_or_a_reason_for_every_photo(site: Site, chain: dict[str, Any]) -> None:
    version = chain["vectorise"][keys.MODEL_VERSION]
    ids = [line["id"] for key in site.keys("vectors", f"{version}/shards/") if key.endswith(".ids.jsonl")
           for line in site.lines(f"s3://{site.cloud.bucket('vectors')}/{key}")]  # fmt: skip
    rejects = [line for key in site.keys("vectors", f"{version}/rejects/")
               for line in site.lines(f"s3://{site.cloud.bucket('vectors')}/{key}")]  # fmt: skip
    assert len(set(ids)) == len(ids)
    assert len(ids) + len(rejects) == len(site.keys("photos", "photos/"))
    assert any("truncated.jpg" in json.dumps(reject) for reject in rejects)


def should_not_do_the_work_again_when_an_event_comes_three_times(site: Site, chain: dict[str, Any]) -> None:
    sagemaker = site.cloud.client("sagemaker")
    jobs = {job["TrainingJobName"] for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]}
    packages = len(sagemaker.list_model_packages()["ModelPackageSummaryList"])
    before = site.known("train")
    detail = {
        "environment": "local",
        **{key: chain["label"]["cleaned"][key] for key in (keys.DATASET, keys.DATASET_URI)},
    }
    event = {"Source": keys.EVENT_SOURCE, "DetailType": keys.DATASET_READY, "Detail": json.dumps(detail)}
    site.cloud.client("events").put_events(Entries=[event] * 3)
    fresh = wait_for(
        "three executions", lambda: len(set(site.known("train")) - set(before)) == 3 and set(site.known("train")), 60
    )
    for execution in fresh - set(before):
        site.output(execution)
    assert {job["TrainingJobName"] for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]} == jobs
    assert len(sagemaker.list_model_packages()["ModelPackageSummaryList"]) == packages


def should_find_nothing_to_do_when_every_photo_has_its_vector(site: Site, chain: dict[str, Any]) -> None:
    wait_for("earlier vectorising", lambda: all(e["status"] != "RUNNING" for e in site.executions("vectorise")))
    assert site.output(site.start("vectorise"))[keys.COUNT] == 0


def should_vectorise_only_what_is_new(site: Site, chain: dict[str, Any]) -> None:
    photo = io.BytesIO()
    Image.effect_noise((320, 240), 90).convert("RGB").save(photo, "JPEG")
    site.put("photos", "photos/newcomer/first.jpg", photo.getvalue())
    assert site.output(site.start("vectorise", photos="photos/newcomer/"))[keys.COUNT] == 1


def should_name_the_field_when_an_input_is_wrong(site: Site) -> None:
    told = site.ended(site.start("label", photos="photos/", max_photo=3))
    assert told["status"] == "FAILED"
    assert "max_photo: no such field" in told["cause"]
    assert "max_photos" in told["cause"]


def should_show_similar_photos_of_a_photo(site: Site, chain: dict[str, Any], tmp_path: Path) -> None:
    key = next(key for key in site.keys("photos", "photos/") if key.endswith("0.jpg") and "newcomer" not in key)
    sheet = tmp_path / "similar.html"
    shown = site.menulens("similar", key, "--k", "5", "--html", str(sheet))
    assert shown.returncode == 0, shown.stderr
    assert sheet.read_text().count("data:image/") >= 5
    assert shown.stdout.count(".jpg") + shown.stdout.count(".png") >= 5


def should_embed_and_tag_photos(site: Site, chain: dict[str, Any], tmp_path: Path) -> None:
    photo = tmp_path / "one.jpg"
    Image.linear_gradient("L").convert("RGB").save(photo)
    target = tmp_path / "vectors.npy"
    embedded = site.menulens("embed", str(photo), "--out", str(target))
    assert embedded.returncode == 0, embedded.stderr
    vectors = np.load(target)
    assert vectors.shape == (1, 1280)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    restaurant = site.keys("photos", "photos/")[0].split("/")[1]
    tagged = site.menulens("tag", f"photos/{restaurant}/")
    lines = [json.loads(line) for line in tagged.stdout.splitlines()]
    assert len(lines) == len(site.keys("photos", f"photos/{restaurant}/"))
    assert {line["category"] for line in lines if "category" in line} <= set(site.cloud.settings.classes)


def should_answer_the_good_photos_of_a_batch_and_name_the_bad_one(site: Site, chain: dict[str, Any]) -> None:
    photo = _any_photo(site)
    body = {"instances": [{"id": "good", "b64": base64.b64encode(photo).decode()}, {"id": "bad", "b64": "AAAA"}]}
    answer = site.cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=chain["deploy"][keys.ENDPOINT], ContentType="application/json", Body=json.dumps(body)
    )
    good, bad = json.loads(answer["Body"].read())["predictions"]
    assert good["id"] == "good"
    assert len(good["vector"]) == 1280
    assert bad["id"] == "bad"
    assert bad["error"]


def should_answer_again_after_its_container_was_killed(site: Site, chain: dict[str, Any]) -> None:
    endpoint = chain["deploy"][keys.ENDPOINT]
    victims = [
        process
        for process in psutil.process_iter()
        if "menulens.local.serving" in _command_of(process) and str(site.state.resolve()) in _command_of(process)
    ]
    assert victims
    for victim in victims:
        victim.kill()
    photo = _any_photo(site)
    runtime = site.cloud.client("sagemaker-runtime")

    def answers() -> bool:
        try:
            said = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="image/jpeg", Body=photo)
        except runtime.exceptions.ClientError:
            time.sleep(1)
            return False
        return "vector" in json.loads(said["Body"].read())["predictions"][0]

    assert wait_for("the endpoint answers", answers, 90)
    told = site.cloud.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    assert told["EndpointStatus"] == "InService"


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
