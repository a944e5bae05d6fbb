import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from menulens.storage import Storage
from menulens.training.candidate import weigh
from menulens.training.gate import EvaluationError
from menulens.training.outcome import look, next_attempt, outcome
from menulens.training.registry import package_of
from tests.contract.machines.generators import any_group, any_package

# A real training job of the local cloud: a program that ends at once, well or badly.
GOOD = "import os, pathlib; pathlib.Path(os.environ['SM_MODEL_DIR'], 'model').write_text('m')\n"
BAD = "raise SystemExit('no photo was left')\n"


def submit(s3: Any, sagemaker: Any, bucket: str, name: str, program: str) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(program)
        tar.addfile(member, io.BytesIO(program.encode()))
    s3.put_object(Bucket=bucket, Key=f"{name}.tar.gz", Body=file.getvalue())
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-gpu-py312",
            "TrainingInputMode": "File",
        },
        HyperParameters={
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": json.dumps(f"s3://{bucket}/{name}.tar.gz"),
        },
        RoleArn="arn:aws:iam::000000000000:role/training",
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/training"},
        ResourceConfig={"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )


def run(s3: Any, sagemaker: Any, bucket: str, name: str, program: str) -> None:
    submit(s3, sagemaker, bucket, name, program)
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.config.delay = 0.2
    # The waiter raises for a job that failed, which some of these are meant to.
    with contextlib.suppress(WaiterError):
        waiter.wait(TrainingJobName=name)


IN_USE = {"Error": "SageMaker.ResourceInUseException", "Cause": "a training job with this name already exists"}


def should_go_on_with_a_job_that_completed(s3: Any, sagemaker: Any, bucket: Callable[[str], str]) -> None:
    run(s3, sagemaker, bucket("code"), "outcome-good", GOOD)
    assert outcome(sagemaker, "training", "outcome-good", IN_USE)["job_status"] == "Completed"
    name, job = next_attempt(sagemaker, "training", "outcome-good")
    assert (name, job and job.status) == ("outcome-good", "Completed")
    assert next_attempt(sagemaker, "training", "outcome-good", lambda _: False) == ("outcome-good-r2", None)


def should_tell_why_a_job_failed_and_name_the_next_try_otherwise(
    s3: Any, sagemaker: Any, bucket: Callable[[str], str]
) -> None:
    run(s3, sagemaker, bucket("code"), "outcome-bad", BAD)
    answer = outcome(sagemaker, "training", "outcome-bad", {"Error": "States.TaskFailed", "Cause": "{}"})
    assert answer["job_status"] == "Failed"
    assert answer["reason"].startswith("The training job outcome-bad failed: ")
    assert "no photo was left" in answer["reason"]
    assert next_attempt(sagemaker, "training", "outcome-bad") == ("outcome-bad-r2", None)


def should_leave_a_running_job_to_the_execution_that_started_it(
    s3: Any, sagemaker: Any, bucket: Callable[[str], str]
) -> None:
    submit(s3, sagemaker, bucket("code"), "outcome-slow", "import time; time.sleep(600)\n")
    try:
        assert outcome(sagemaker, "training", "outcome-slow", IN_USE)["job_status"] == "AlreadyRunning"
        broken_off = outcome(sagemaker, "training", "outcome-slow", {"Error": "States.Timeout", "Cause": ""})
        assert broken_off["job_status"] == "Failed"
        assert "broke off: States.Timeout" in broken_off["reason"]
    finally:
        sagemaker.stop_training_job(TrainingJobName="outcome-slow")


@pytest.mark.parametrize("kind", ["training", "transform"])
def should_say_that_a_job_was_not_started(sagemaker: Any, kind: Any) -> None:
    assert look(sagemaker, kind, "no-such-job") is None
    answer = outcome(sagemaker, kind, "no-such-job", {"Error": "SageMaker.AmazonSageMakerException", "Cause": "quota"})
    assert answer == {"job_status": "Failed", "reason": f"The {kind} job no-such-job was not started: quota"}
    assert next_attempt(sagemaker, kind, "no-such-job") == ("no-such-job", None)


def should_find_the_package_of_a_job_among_many(sagemaker: Any, environment: str) -> None:
    group = any_group(sagemaker, environment)
    made = {job: any_package(sagemaker, group, job) for job in (f"job-{number}" for number in range(12))}
    assert package_of(sagemaker, group, "job-1") == made["job-1"]
    assert package_of(sagemaker, group, "job-11") == made["job-11"]
    assert package_of(sagemaker, group, "job") is None


EVALUATION = {
    "photos": 100,
    "accuracy": 0.81234,
    "recall": {"meal": 0.9, "drink": 0.7},
    "classes": ["meal", "drink"],
    "champion": None,
}
EVALUATING = f"""
import json, os, pathlib
pathlib.Path(os.environ['SM_MODEL_DIR'], 'model').write_text('m')
out = pathlib.Path(os.environ['SM_OUTPUT_DATA_DIR'])
(out / 'evaluation.json').write_text(json.dumps({EVALUATION!r}))
"""
GATE = {"min_accuracy": 0.5, "min_class_recall": 0.2, "max_accuracy_drop": 0.0}


def should_weigh_what_a_job_left_and_describe_it_for_the_registry(
    s3: Any, sagemaker: Any, storage: Storage, bucket: Callable[[str], str], environment: str
) -> None:
    code, group = bucket("code"), any_group(sagemaker, environment)
    run(s3, sagemaker, code, "weigh-good", EVALUATING)
    dataset = "menu-0123456789ab"
    told = weigh("weigh-good", dataset, gate=GATE, group=group, storage=storage, sagemaker=sagemaker)
    assert (told["passed"], told["model_package"], told["accuracy"]) == (True, "", "0.8123")
    assert told["model_data_url"] == f"s3://{code}/training/weigh-good/output/model.tar.gz"
    assert told["metadata"] == {
        "training_job": "weigh-good",
        "dataset": dataset,
        "accuracy": "0.8123",
        "photos": "100",
    }
    arn = any_package(sagemaker, group, "weigh-good")
    again = weigh("weigh-good", dataset, gate=GATE, group=group, storage=storage, sagemaker=sagemaker)
    assert again["model_package"] == arn
    strict = {**GATE, "min_accuracy": 0.9}
    refused = weigh("weigh-good", dataset, gate=strict, group=group, storage=storage, sagemaker=sagemaker)
    assert (refused["passed"], refused["model_package"]) == (False, "")
    assert "below gate.min_accuracy (0.9)" in refused["reason"]


def should_say_that_a_job_left_no_evaluation(
    s3: Any, sagemaker: Any, storage: Storage, bucket: Callable[[str], str], environment: str
) -> None:
    run(s3, sagemaker, bucket("code"), "weigh-bad", GOOD)
    group = any_group(sagemaker, environment)
    with pytest.raises(EvaluationError, match=r"output\.tar\.gz"):
        weigh("weigh-bad", "d", gate=GATE, group=group, storage=storage, sagemaker=sagemaker)
