"""From photos to a labeling job's input, and from a job to its labels, on a real S3 and the local labeling service."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from menulens.labeling import jobs, layout, merge, snapshot
from menulens.labeling.input_manifest import NoPhotosError, prepare
from menulens.labeling.locate import locate
from menulens.portal import described
from menulens.portal.context import Portal
from menulens.storage import Storage

ATTRIBUTE = "menu-category"


def any_photo(seed: int, kind: str = "JPEG", side: int = 16) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class Room:
    """Photos and labels of one test, and the steps on them."""

    def __init__(
        self,
        storage: Storage,
        sagemaker: Any,
        settings: dict[str, Any],
        bucket: Callable[[str], str],
        portal: Portal,
    ) -> None:
        self.storage, self.sagemaker, self.settings = storage, sagemaker, settings
        self.photos, self.labels = bucket("photos"), bucket("labels")
        self.portal = replace(portal, labels_bucket=self.labels)
        self.providers = (described.finder(self.portal), jobs.ground_truth(sagemaker))

    def put(self, key: str, content: bytes) -> str:
        place = f"s3://{self.photos}/photos/{key}"
        self.storage.write_bytes(place, content)
        return place

    def prepare(self, **given: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "photos": None,
            "manifest": None,
            "job_name": None,
            "resume_from": None,
            "max_photos": 100,
        }
        if not given.keys() & {"photos", "manifest", "resume_from"}:
            values["photos"] = f"s3://{self.photos}/photos/"
        return prepare(
            **(values | given),
            settings=self.settings,
            photo_bucket=self.photos,
            labels_bucket=self.labels,
            providers=self.providers,
            storage=self.storage,
        )

    def asked(self, made: dict[str, Any]) -> list[str]:
        return [json.loads(line)["source-ref"] for line in self.storage.lines(made["input_manifest"])]

    def rejects(self, made: dict[str, Any]) -> dict[str, str]:
        place = layout.inputs(self.labels, made["job_name"]) + "/rejects.jsonl"
        found = [json.loads(line) for line in self.storage.lines(place)]
        return {json.loads(item["original"])["source-ref"].rpartition("photos/")[2]: item["code"] for item in found}

    def card(self, made: dict[str, Any]) -> dict[str, Any]:
        card: dict[str, Any] = self.storage.read_json(layout.input_card(self.labels, made["job_name"]))
        return card


@pytest.fixture
def room(
    storage: Storage, sagemaker: Any, settings: dict[str, Any], bucket: Callable[[str], str], portal: Portal
) -> Room:
    return Room(storage, sagemaker, settings, bucket, portal)


def should_ask_about_photos_and_reject_the_rest_with_a_reason(room: Room) -> None:
    good = [room.put("a/1.jpg", any_photo(1)), room.put("a/2.png", any_photo(2, "PNG"))]
    room.put("a/3-again.jpg", any_photo(1))
    room.put("b/empty.jpg", b"")
    room.put("b/page.jpg", b"<!doctype html><title>404</title>" + b" " * 40)
    made = room.prepare()
    assert room.asked(made) == good
    assert room.rejects(made) == {"a/3-again.jpg": "duplicate", "b/empty.jpg": "empty", "b/page.jpg": "wrong-type"}
    card = room.card(made)
    assert (card["records"], card["asked"], card["rejected"], card["left"]) == (5, 2, 3, 0)
    assert card["reasons"] == {"duplicate": 1, "empty": 1, "wrong-type": 1}


def should_ask_about_photos_of_one_size_whose_bytes_differ(room: Room) -> None:
    first, second = any_photo(1, "PNG", 300), bytearray(any_photo(1, "PNG", 300))
    second[-20] ^= 1  # far behind the header
    room.put("1.png", first)
    room.put("2.png", bytes(second))
    assert made_count(room.prepare()) == 2


def made_count(made: dict[str, Any]) -> int:
    count: int = made["count"]
    return count


def should_respect_the_caps_of_the_settings(room: Room) -> None:
    room.settings["photos"] |= {"max_pixels": 400, "max_bytes": 2_000}
    room.put("small.png", any_photo(1, "PNG", 16))
    room.put("wide.png", any_photo(2, "PNG", 24))
    room.put("heavy.png", any_photo(3, "PNG", 40))
    assert room.rejects(room.prepare()) == {"wide.png": "too-many-pixels", "heavy.png": "too-large"}


def should_leave_photos_beyond_the_limit_for_later(room: Room) -> None:
    for number in range(7):
        room.put(f"{number}.jpg", any_photo(number))
    made = room.prepare(max_photos=3)
    assert (made["count"], made["left"]) == (3, 4)
    assert room.card(made)["records"] == 7


def should_give_the_same_photos_the_same_job_and_the_same_bytes(room: Room) -> None:
    for number in range(3):
        room.put(f"{number}.jpg", any_photo(number))
    first, second = room.prepare(), room.prepare()
    assert first == second
    room.put("9.jpg", any_photo(9))
    assert room.prepare()["job_name"] != first["job_name"]
    room.settings["labeling"]["question_en"] = "Another question?"
    assert room.prepare(max_photos=3)["job_name"] != first["job_name"]


def should_page_through_more_photos_than_one_answer_lists(room: Room) -> None:
    content = any_photo(1)
    for number in range(1_005):
        room.storage.write_bytes(f"s3://{room.photos}/photos/{number:04}.jpg", content)
    made = room.prepare()
    assert (made["count"], made["rejected"]) == (1, 1_004)


def should_check_a_manifest_line_by_line(room: Room) -> None:
    kept = room.put("a.jpg", any_photo(1))
    lines = [
        json.dumps({"source-ref": kept, "店": "そば"}, ensure_ascii=False),
        json.dumps({"source-ref": kept}),
        json.dumps({"source-ref": "s3://elsewhere/photos/a.jpg"}),
        json.dumps({"source-ref": f"s3://{room.photos}/photos/gone.jpg"}),
        "{broken",
        json.dumps({"source": "text"}),
    ]
    place = f"s3://{room.labels}/mine.manifest"
    room.storage.write_text(place, "\r\n".join(lines) + "\r\n")
    made = room.prepare(manifest=place)
    assert list(room.storage.lines(made["input_manifest"])) == [lines[0].encode()]
    found = room.card(made)
    assert found["reasons"] == {"duplicate": 1, "missing": 1, "mixed": 1, "no-source-ref": 1, "not-ours": 1}
    assert found["records"] == len(lines)


def should_leave_out_an_archived_photo(room: Room, s3: Any) -> None:
    kept = room.put("a.jpg", any_photo(1))
    s3.put_object(Bucket=room.photos, Key="photos/b.jpg", Body=any_photo(2), StorageClass="GLACIER")
    made = room.prepare()
    assert room.asked(made) == [kept]
    assert room.rejects(made) == {"b.jpg": "archived"}


def should_say_where_the_photos_went_when_none_can_be_asked_about(room: Room) -> None:
    room.put("a.jpg", b"")
    with pytest.raises(NoPhotosError, match=r"no photo to ask about among 1 records \(1 empty\)"):
        room.prepare()


def start_job(room: Room, made: dict[str, Any], client: Callable[[str], Any]) -> str:
    """Make the labeling job as the state does, with a team of its own."""
    team = a_team(room.sagemaker, client)
    name: str = made["job_name"]
    room.sagemaker.create_labeling_job(
        LabelingJobName=name,
        LabelAttributeName=ATTRIBUTE,
        InputConfig={"DataSource": {"S3DataSource": {"ManifestS3Uri": made["input_manifest"]}}},
        OutputConfig={"S3OutputPath": layout.outputs(room.labels)},
        RoleArn="arn:aws:iam::000000000000:role/labeling-job",
        LabelCategoryConfigS3Uri=made["categories_uri"],
        HumanTaskConfig={
            "WorkteamArn": team,
            "UiConfig": {"UiTemplateS3Uri": made["template_uri"]},
            "PreHumanTaskLambdaArn": "arn:aws:lambda:us-east-1:432418664414:function:PRE-ImageMultiClass",
            "TaskTitle": "What is it?",
            "TaskDescription": "What is it?",
            "NumberOfHumanWorkersPerDataObject": 1,
            "TaskTimeLimitInSeconds": 300,
            "AnnotationConsolidationConfig": {
                "AnnotationConsolidationLambdaArn": "arn:aws:lambda:us-east-1:432418664414:function:ACS-ImageMultiClass"
            },
        },
    )
    return name


def a_team(sagemaker: Any, client: Callable[[str], Any]) -> str:
    found = sagemaker.list_workteams()["Workteams"]
    if found:
        return str(found[0]["WorkteamArn"])
    cognito = client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="annotators")["UserPool"]["Id"]
    app = cognito.create_user_pool_client(UserPoolId=pool, ClientName="page")["UserPoolClient"]["ClientId"]
    cognito.create_group(UserPoolId=pool, GroupName="annotators")
    config = {"UserPool": pool, "ClientId": app}
    sagemaker.create_workforce(WorkforceName="people", CognitoConfig=config)
    return str(
        sagemaker.create_workteam(
            WorkteamName="annotators",
            WorkforceName="people",
            Description="People",
            MemberDefinitions=[{"CognitoMemberDefinition": {**config, "UserGroup": "annotators"}}],
        )["WorkteamArn"]
    )


def found_by(room: Room, name: str, **given: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "expected_input": None,
        "made_from": None,
        "creation_error": None,
        "label_attribute": ATTRIBUTE,
        "providers": room.providers,
    }
    return locate(
        name,
        labels_bucket=room.labels,
        storage=room.storage,
        **(values | given),
    )


def label(room: Room, job: str, lines: list[bytes]) -> None:
    """Write what Ground Truth writes when a job has ended."""
    place = layout.output_manifest(f"s3://{room.labels}/jobs/{job}")
    room.storage.write_bytes(place, b"".join(line + b"\n" for line in lines))


def labeled(uri: str, index: int) -> bytes:
    return json.dumps({"source-ref": uri, ATTRIBUTE: index, f"{ATTRIBUTE}-metadata": {"class-name": "meal"}}).encode()


def should_wait_for_a_job_that_runs_and_use_one_that_was_stopped(room: Room, client: Callable[[str], Any]) -> None:
    uris = [room.put(f"{number}.jpg", any_photo(number)) for number in range(3)]
    name = start_job(room, room.prepare(), client)
    running = found_by(room, name)
    assert (running["ours"], running["ready"], running["manifest"]) == (True, False, None)
    assert running["wait_seconds"] >= 1
    with pytest.raises(jobs.LabelingJobError, match="no photo is labeled yet"):
        snapshot.take(jobs.describe(name, jobs.ground_truth(room.sagemaker)), None, room.storage)

    # What annotators have answered up to now shows in the iteration's manifest.
    iteration = f"s3://{room.labels}/jobs/{name}/annotations/intermediate/2/annotations.manifest"
    room.storage.write_bytes(iteration, labeled(uris[1], 0) + b"\n")
    taken = snapshot.take(jobs.describe(name, jobs.ground_truth(room.sagemaker)), None, room.storage)
    assert (taken.labeled, len(taken)) == (1, 3)

    room.sagemaker.stop_labeling_job(LabelingJobName=name)
    stopped = wait_until_ended(room, name)
    assert (stopped["job_status"], stopped["ready"], stopped["earlier_manifest"]) == ("Stopped", True, None)

    # Resumed, only what has no label is asked again, and the labels come together without loss or double.
    unlabeled = [json.dumps({"source-ref": uri}).encode() for uri in uris[1:]]
    label(room, name, [labeled(uris[0], 4), *unlabeled])
    again = room.prepare(resume_from=name)
    assert room.asked(again) == uris[1:]
    assert again["earlier_manifest"] == stopped["manifest"]
    merged = merge.merge(
        [merge.Stored(room.storage, again["earlier_manifest"]), [labeled(uris[1], 1), labeled(uris[2], 2)]], ATTRIBUTE
    )
    assert list(merged) == [labeled(uris[0], 4), labeled(uris[1], 1), labeled(uris[2], 2)]


def should_go_on_with_every_label_of_a_chain_whatever_was_merged(room: Room, client: Callable[[str], Any]) -> None:
    uris = [room.put(f"{number}.jpg", any_photo(number)) for number in range(3)]
    made = room.prepare()
    for number in range(2):
        name = start_job(room, made, client)
        room.sagemaker.stop_labeling_job(LabelingJobName=name)
        wait_until_ended(room, name)
        asked = [json.dumps({"source-ref": uri}).encode() for uri in uris[number + 1 :]]
        label(room, name, [labeled(uris[number], number), *asked])
        if number:  # merged once, before the job was reopened
            room.storage.write_bytes(layout.merged_manifest(room.labels, name), labeled(uris[0], 0) + b"\n")
        made = room.prepare(resume_from=name)
        assert room.asked(made) == uris[number + 1 :]
        assert room.prepare(resume_from=name) == made
    earlier = list(room.storage.lines(made["earlier_manifest"]))
    assert earlier == [labeled(uris[0], 0), labeled(uris[1], 1), json.dumps({"source-ref": uris[2]}).encode()]


def wait_until_ended(room: Room, name: str) -> dict[str, Any]:
    import time  # noqa: PLC0415

    for _ in range(100):
        found = found_by(room, name)
        if found["ready"]:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def should_refuse_a_job_that_was_made_from_other_photos(room: Room, client: Callable[[str], Any]) -> None:
    room.put("1.jpg", any_photo(1))
    name = start_job(room, room.prepare(job_name="taken-name"), client)
    with pytest.raises(jobs.LabelingJobError, match=r"was made from .*taken-name/input\.manifest, not from s3://other"):
        found_by(room, name, expected_input="s3://other/input.manifest")
    with pytest.raises(jobs.LabelingJobError, match="it can be resumed from when it has ended"):
        room.prepare(resume_from=name)
    room.sagemaker.stop_labeling_job(LabelingJobName=name)


def inputs_of(room: Room, job: str) -> dict[str, bytes]:
    found = room.storage.list(f"{layout.inputs(room.labels, job)}/")
    return {item.key: room.storage.read_bytes(item.uri) for item in found}


def should_leave_what_a_job_was_given_as_it_is(room: Room, client: Callable[[str], Any]) -> None:
    place = f"s3://{room.photos}/photos"
    uris = [room.put(f"a/{number}.jpg", any_photo(number)) for number in range(2)]
    room.put("b/1.jpg", any_photo(9))
    first = start_job(room, room.prepare(photos=f"{place}/a/"), client)
    room.sagemaker.stop_labeling_job(LabelingJobName=first)
    wait_until_ended(room, first)
    label(room, first, [labeled(uris[0], 4), json.dumps({"source-ref": uris[1]}).encode()])

    # Inputs of a name that no job came to have, as an execution leaves that failed before, are written anew.
    room.prepare(photos=f"{place}/b/", job_name="week")
    made = room.prepare(resume_from=first, job_name="week")
    assert room.card(made)["earlier_manifest"] == layout.output_manifest(f"s3://{room.labels}/jobs/{first}")
    start_job(room, made, client)
    given = inputs_of(room, "week")
    for other in ({"photos": f"{place}/b/"}, {"manifest": made["input_manifest"]}):
        with pytest.raises(jobs.LabelingJobError, match=r"week: .* was made from other photos .*another job_name"):
            room.prepare(**other, job_name="week")
        assert inputs_of(room, "week") == given
    assert room.prepare(resume_from=first, job_name="week") == made
    assert inputs_of(room, "week") == given
    assert found_by(room, "week", expected_input=made["input_manifest"], made_from=made["made_from"])["ours"]
    room.sagemaker.stop_labeling_job(LabelingJobName="week")


def should_refuse_the_job_of_another_execution_that_took_the_name_meanwhile(
    room: Room, client: Callable[[str], Any]
) -> None:
    for folder in "ab":
        room.put(f"{folder}/1.jpg", any_photo(ord(folder)))
    late, fast = (room.prepare(photos=f"s3://{room.photos}/photos/{folder}/", job_name="both") for folder in "ab")
    start_job(room, fast, client)
    assert found_by(room, "both", expected_input=fast["input_manifest"], made_from=fast["made_from"])["ours"]
    with pytest.raises(jobs.LabelingJobError, match=r"both: .* was made from other photos"):
        found_by(room, "both", expected_input=late["input_manifest"], made_from=late["made_from"])
    room.sagemaker.stop_labeling_job(LabelingJobName="both")


def should_refuse_a_name_whose_job_was_made_elsewhere(room: Room, client: Callable[[str], Any]) -> None:
    room.put("1.jpg", any_photo(1))
    made = room.prepare(job_name="elsewhere")
    start_job(room, made, client)
    room.storage.delete(layout.input_card(room.labels, "elsewhere"))
    with pytest.raises(jobs.LabelingJobError, match=r"elsewhere: .* was made from other photos"):
        room.prepare(job_name="elsewhere")
    assert not room.storage.exists(layout.input_card(room.labels, "elsewhere"))
    room.sagemaker.stop_labeling_job(LabelingJobName="elsewhere")


def should_take_what_a_job_elsewhere_has_labeled_without_reading_an_input_that_is_not_ours(room: Room) -> None:
    uri = room.put("1.jpg", any_photo(1))
    output = f"s3://{room.labels}/team-b/console"
    room.storage.write_bytes(f"{output}/annotations/intermediate/1/annotations.manifest", labeled(uri, 2) + b"\n")
    for given in ("s3://bucket-of-team-b/input.manifest", ""):  # a streaming job has none
        job = jobs.Job("console", "InProgress", ATTRIBUTE, given, output, None, "", 60.0)
        assert list(snapshot.take(job, None, room.storage)) == [labeled(uri, 2)]
        failed = replace(job, status="Failed")
        found = found_by(room, "console", providers=(lambda _, failed=failed: failed,))
        assert (found["ours"], list(room.storage.lines(found["manifest"]))) == (True, [labeled(uri, 2)])


def should_tell_why_a_job_could_not_be_made(room: Room) -> None:
    error = {"Error": "SageMaker.ValidationException", "Cause": "The team does not exist."}
    with pytest.raises(jobs.LabelingJobError, match=r"could not be made: .*The team does not exist"):
        found_by(room, "no-such-job", creation_error=error)
    with pytest.raises(jobs.LabelingJobError, match="there is no labeling job of this name"):
        found_by(room, "no-such-job")
