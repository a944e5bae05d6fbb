"""Training jobs of the local cloud, against a real server, with real processes and FIFOs."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import Room, Training, any_name, wait_until

READER = """
import json, os, struct
def records(path):
    with open(path, "rb") as pipe:
        while head := pipe.read(8):
            magic, length = struct.unpack("<II", head)
            assert magic == 0xCED7230A
            body = pipe.read(length)
            pipe.read(-length % 4)
            yield body.decode()
epochs = [list(records(os.environ["SM_CHANNEL_TRAIN"] + f"_{epoch}")) for epoch in range(2)]
open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "epochs.json"), "w").write(json.dumps(epochs))
"""


def _archive(training: Training, name: str, file: str) -> dict[str, bytes]:
    body = training.s3.get_object(Bucket=training.bucket, Key=f"training/{name}/output/{file}")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar if member.isfile()]
        return {path: file.read() for path, file in members if file}


def should_run_the_program_by_the_toolkit_contract_and_upload_what_it_wrote(training: Training, cloud: Room) -> None:
    program = """
import json, os, sys
base = os.environ["SAGEMAKER_BASE_DIR"]
seen = {"args": sys.argv[1:], "hps": json.loads(os.environ["SM_HPS"]),
        "cwd": os.getcwd() == os.path.realpath(base + "/code"),
        "raw": json.load(open(base + "/input/config/hyperparameters.json")),
        "channels": json.loads(os.environ["SM_CHANNELS"]), "host": os.environ["SM_CURRENT_HOST"],
        "extra": os.environ["SHADE"], "file": open(os.environ["SM_CHANNEL_BACKBONE"] + "/deep/weights.txt").read()}
print("said by the program")
open(os.environ["SM_MODEL_DIR"] + "/model.json", "w").write(json.dumps(seen))
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/metrics.txt", "w").write("0.9")
"""
    training.s3.put_object(Bucket=training.bucket, Key="backbone/deep/weights.txt", Body=b"weights")
    channel = {
        "ChannelName": "backbone",
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{training.bucket}/backbone/"},
        },
    }
    name = training.start(program, InputDataConfig=[channel], Environment={"SHADE": "blue"})
    job = training.ended(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [step["Status"] for step in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"/training/{name}/output/model.tar.gz")
    seen = json.loads(_archive(training, name, "model.tar.gz")["model.json"])
    assert seen["args"] == ["--classes", "['meal', 'drink']", "--epochs", "2"]
    assert seen["hps"] == {"classes": ["meal", "drink"], "epochs": 2}
    assert seen["raw"]["epochs"] == "2"
    assert (seen["channels"], seen["host"], seen["extra"], seen["file"]) == (["backbone"], "algo-1", "blue", "weights")
    assert seen["cwd"]
    assert _archive(training, name, "output.tar.gz") == {"metrics.txt": b"0.9"}
    logs = cloud.client("logs")
    group = "/aws/sagemaker/TrainingJobs"

    def shipped() -> bool:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        return any(
            "said by the program" in event["message"]
            for stream in streams
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        )

    wait_until(shipped)


def should_stream_each_epoch_through_a_fifo_of_its_own(training: Training, cloud: Room) -> None:
    for number in range(20):
        training.s3.put_object(Bucket=training.bucket, Key=f"photos/{number}.jpg", Body=f"photo {number}".encode())
    lines = [{"source-ref": f"s3://{training.bucket}/photos/{number}.jpg", "label": number} for number in range(20)]
    channel = training.augmented_channel(lines, ["source-ref", "label"], ShuffleConfig={"Seed": 7})
    name = training.start(READER, InputDataConfig=[channel])
    job = training.ended(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    epochs = json.loads(_archive(training, name, "output.tar.gz")["epochs.json"])
    for records in epochs:
        pairs = list(zip(records[::2], records[1::2], strict=True))
        assert all(photo == f"photo {label}" for photo, label in pairs)
        assert {int(label) for _, label in pairs} == set(range(20))
    assert epochs[0] != epochs[1]
    assert not [fifo for fifo in cloud.state.fifos() if name in str(fifo)]


def should_fail_with_the_line_that_lacks_an_attribute(training: Training) -> None:
    training.s3.put_object(Bucket=training.bucket, Key="a.jpg", Body=b"photo")
    ref = f"s3://{training.bucket}/a.jpg"
    channel = training.augmented_channel(
        [{"source-ref": ref, "label": 1}, {"source-ref": ref}], ["source-ref", "label"]
    )
    job = training.ended(training.start(READER, InputDataConfig=[channel]))
    assert job["TrainingJobStatus"] == "Failed"
    assert "line 2" in job["FailureReason"]
    assert "'label'" in job["FailureReason"]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("raise ValueError('the photos are all black')", "ValueError: the photos are all black"),
        (
            "import os, sys\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('written by hand')\nsys.exit(4)",
            "written by hand",
        ),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL (exit code 137)"),
    ],
)
def should_tell_why_the_program_failed(training: Training, program: str, expected: str) -> None:
    job = training.ended(training.start(program))
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ExecuteUserScriptError")
    assert expected in job["FailureReason"]
    assert len(job["FailureReason"]) <= 1024


SLEEPER = """
import os, pathlib, time
pathlib.Path(os.environ["SM_OUTPUT_DIR"], "pid").write_text(str(os.getpid()))
time.sleep(600)
"""


def _pid(cloud: Room, name: str) -> int:
    path = cloud.state.folder / "jobs" / "training" / name / "opt" / "ml" / "output" / "pid"
    return int(wait_until(lambda: path.exists() and path.read_text()))


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def should_stop_a_job_that_is_asked_to_stop(training: Training, cloud: Room, sagemaker: Any) -> None:
    name = training.start(SLEEPER)
    pid = _pid(cloud, name)
    sagemaker.stop_training_job(TrainingJobName=name)
    job = training.ended(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert _is_gone(pid)
    with pytest.raises(ClientError, match=r"ValidationException.*Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


def should_kill_a_program_that_ignores_the_stop_signal(training: Training, cloud: Room, sagemaker: Any) -> None:
    name = training.start("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER)
    pid = _pid(cloud, name)
    sagemaker.stop_training_job(TrainingJobName=name)
    assert training.ended(name)["TrainingJobStatus"] == "Stopped"
    assert _is_gone(pid)


def should_see_a_killed_program_as_failed(training: Training, cloud: Room) -> None:
    name = training.start(SLEEPER)
    os.kill(_pid(cloud, name), signal.SIGKILL)
    job = training.ended(name)
    assert job["TrainingJobStatus"] == "Failed"
    assert "SIGKILL" in job["FailureReason"]


def should_take_away_the_temporary_files_of_a_killed_program(training: Training, cloud: Room) -> None:
    name = training.start("import tempfile\ntempfile.mkstemp(prefix='left-')\n" + SLEEPER)
    pid = _pid(cloud, name)
    (made,) = cloud.state.folder.rglob("left-*")
    os.kill(pid, signal.SIGKILL)
    training.ended(name)
    assert not made.exists()


def should_end_a_job_that_runs_too_long(training: Training) -> None:
    name = training.start(SLEEPER, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = training.ended(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def should_refuse_what_sagemaker_refuses(training: Training, sagemaker: Any) -> None:
    request = training.request("pass")
    sagemaker.create_training_job(**request)
    for change, code, said in (
        ({}, "ResourceInUse", "already exists"),
        ({"TrainingJobName": "no_underscores"}, "ValidationException", "pattern"),
        ({"ResourceConfig": None}, "ValidationException", "ResourceConfig"),
        ({"TrainingJobName": any_name(), "RoleArn": "role"}, "ValidationException", "roleArn"),
        (
            {
                "TrainingJobName": any_name(),
                "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "Tape"},
            },
            "ValidationException",
            "enum value set",
        ),
    ):
        refused = {key: value for key, value in {**request, **change}.items() if value is not None}
        with pytest.raises(ClientError) as error:
            sagemaker.create_training_job(**refused)
        assert error.value.response["Error"]["Code"] == code
        assert said in error.value.response["Error"]["Message"]
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="nobody")


def should_list_jobs_page_by_page(training: Training, sagemaker: Any) -> None:
    prefix = any_name("page")
    names = [f"{prefix}-{number}" for number in range(5)]
    for name in names:
        training.start("pass", TrainingJobName=name)
    listed = []
    token: dict[str, str] = {}
    while True:
        answer = sagemaker.list_training_jobs(NameContains=prefix, MaxResults=2, SortBy="Name", **token)
        assert len(answer["TrainingJobSummaries"]) <= 2
        listed += [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert listed == names
    with pytest.raises(ClientError, match="pagination token"):
        sagemaker.list_training_jobs(NextToken="nonsense")
    for name in names:
        assert training.ended(name)["TrainingJobStatus"] == "Completed"
    completed = sagemaker.list_training_jobs(NameContains=prefix, StatusEquals="Completed", MaxResults=100)
    assert len(completed["TrainingJobSummaries"]) == 5
    assert sagemaker.list_training_jobs(NameContains=prefix, StatusEquals="Failed")["TrainingJobSummaries"] == []


def should_frame_records_as_recordio(training: Training) -> None:
    program = """
import os
data = open(os.environ["SM_CHANNEL_TRAIN"] + "_0", "rb").read()
open(os.environ["SM_MODEL_DIR"] + "/raw", "wb").write(data)
"""
    training.s3.put_object(Bucket=training.bucket, Key="a.jpg", Body=b"abcde")
    lines = [{"source-ref": f"s3://{training.bucket}/a.jpg", "label": "7", "extra": {"a": 1}}]
    channel = training.augmented_channel(lines, ["label", "source-ref"])
    name = training.start(program, InputDataConfig=[channel])
    assert training.ended(name)["TrainingJobStatus"] == "Completed"
    expected = struct.pack("<II", 0xCED7230A, 1) + b"7\0\0\0" + struct.pack("<II", 0xCED7230A, 5) + b"abcde\0\0\0"
    assert _archive(training, name, "model.tar.gz")["raw"] == expected
