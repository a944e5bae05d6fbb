"""Models, endpoints, transform jobs and the registry of the local cloud, served by a small model container."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import ROLE, Room, any_archive, any_name, wait_until


@dataclass
class Serving:
    s3: Any
    sagemaker: Any
    runtime: Any
    bucket: str

    def model(self, text: str = "first") -> str:
        name = any_name("model")
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}.tar.gz", Body=any_archive({"model.txt": text}))
        self.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={
                "Image": "image",
                "ModelDataUrl": f"s3://{self.bucket}/{name}.tar.gz",
                "Environment": {"SHADE": "green"},
            },
            ExecutionRoleArn=ROLE,
        )
        return name

    def config(self, model: str) -> str:
        name = any_name("config")
        variant = {"VariantName": "all", "ModelName": model, "InitialInstanceCount": 1, "InstanceType": "ml.g5.xlarge"}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def endpoint(self, text: str = "first") -> str:
        name = any_name("endpoint")
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=self.config(self.model(text)))
        self.settled(name)
        return name

    def settled(self, name: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            endpoint = self.sagemaker.describe_endpoint(EndpointName=name)
            return None if endpoint["EndpointStatus"] in ("Creating", "Updating") else endpoint

        found: dict[str, Any] = wait_until(look)
        return found

    def ask(self, name: str, body: bytes = b"photo", **more: Any) -> dict[str, Any]:
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType="image/jpeg", **more)
        return {**json.loads(answer["Body"].read()), "answer": answer}


@pytest.fixture
def serving(cloud: Room, s3: Any, sagemaker: Any, bucket: str) -> Serving:
    return Serving(s3, sagemaker, cloud.client("sagemaker-runtime"), bucket)


def should_serve_a_model_and_pass_headers_on(serving: Serving) -> None:
    name = serving.endpoint()
    told = serving.ask(name, Accept="application/x-npy", CustomAttributes="c=1")
    assert (told["model"], told["type"], told["accept"], told["env"]) == (
        "first",
        "image/jpeg",
        "application/x-npy",
        "green",
    )
    assert told["answer"]["InvokedProductionVariant"] == "all"
    assert told["answer"]["CustomAttributes"] == "c=1"
    assert told["answer"]["ContentType"] == "application/json"


def should_answer_model_errors_with_the_containers_own_message(serving: Serving) -> None:
    name = serving.endpoint()
    with pytest.raises(ClientError) as error:
        serving.ask(name, b"bad photo")
    assert error.value.response["Error"]["Code"] == "ModelError"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (error.value.response["OriginalStatusCode"], error.value.response["OriginalMessage"]) == (
        415,
        "no such type",
    )
    with pytest.raises(ClientError, match=r"ValidationError.*not found"):
        serving.ask("nobody")


def should_switch_to_a_new_model_without_a_failed_request(serving: Serving, sagemaker: Any) -> None:
    name = serving.endpoint("old")
    config = serving.config(serving.model("new"))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(serving.ask, name, b"slow")
        time.sleep(0.2)
        _switch(serving, sagemaker, name, config)
        assert slow.result()["model"] == "old"


def _switch(serving: Serving, sagemaker: Any, name: str, config: str) -> None:
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    models = []
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        models.append(serving.ask(name)["model"])
    assert serving.ask(name)["model"] == "new"
    assert models[0] == "old"
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == config


def should_keep_the_old_model_when_the_new_one_does_not_start(serving: Serving, sagemaker: Any) -> None:
    name = serving.endpoint("old")
    before = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=serving.config(serving.model("broken")))
    endpoint = serving.settled(name)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", before)
    assert "this model can't be loaded" in endpoint["FailureReason"]
    assert serving.ask(name)["model"] == "old"


def should_fail_an_endpoint_whose_model_does_not_start(serving: Serving, sagemaker: Any) -> None:
    name = any_name("endpoint")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=serving.config(serving.model("broken")))
    endpoint = serving.settled(name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint["FailureReason"]


def should_start_a_killed_container_again(serving: Serving) -> None:
    name = serving.endpoint()
    pid = serving.ask(name)["pid"]
    os.kill(pid, signal.SIGKILL)

    def answers_again() -> bool:
        try:
            return bool(serving.ask(name)["pid"] != pid)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ModelError"
            return False

    wait_until(answers_again)


def should_end_the_container_of_a_deleted_endpoint(serving: Serving, sagemaker: Any) -> None:
    name = serving.endpoint()
    pid = serving.ask(name)["pid"]
    sagemaker.delete_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=name)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def should_refuse_models_and_configs_that_can_not_be(serving: Serving, sagemaker: Any) -> None:
    model = serving.model()
    container = {"Image": "image", "ModelDataUrl": f"s3://{serving.bucket}/missing.tar.gz"}
    with pytest.raises(ClientError, match="Could not access model data"):
        sagemaker.create_model(ModelName=any_name(), PrimaryContainer=container, ExecutionRoleArn=ROLE)
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        sagemaker.create_model(ModelName=model, PrimaryContainer={"Image": "image"}, ExecutionRoleArn=ROLE)
    with pytest.raises(ClientError, match="Could not find model"):
        serving.config("nobody")
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.create_endpoint(EndpointName=any_name(), EndpointConfigName="nobody")


def _transform(serving: Serving, **more: Any) -> dict[str, Any]:
    name = any_name("transform")
    request = {
        "TransformJobName": name,
        "ModelName": serving.model(),
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{serving.bucket}/packs/"}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{serving.bucket}/out/",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
        **more,
    }
    serving.sagemaker.create_transform_job(**request)

    def look() -> dict[str, Any] | None:
        job = serving.sagemaker.describe_transform_job(TransformJobName=name)
        return job if job["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None

    found: dict[str, Any] = wait_until(look)
    return found


def should_transform_every_object_under_a_prefix(serving: Serving, s3: Any) -> None:
    s3.put_object(Bucket=serving.bucket, Key="packs/a.jsonl", Body=b'{"id":1}\n{"id":2}\n')
    s3.put_object(Bucket=serving.bucket, Key="packs/deep/b.jsonl", Body=b'{"id":3}')
    job = _transform(serving, BatchStrategy="SingleRecord", MaxConcurrentTransforms=2)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    lines = s3.get_object(Bucket=serving.bucket, Key="out/a.jsonl.out")["Body"].read().decode().splitlines()
    assert [json.loads(line)["body"] for line in lines] == ['{"id":1}', '{"id":2}']
    deep = s3.get_object(Bucket=serving.bucket, Key="out/deep/b.jsonl.out")["Body"].read()
    assert json.loads(deep)["type"] == "application/jsonlines"


def should_join_records_that_fit_one_request(serving: Serving, s3: Any) -> None:
    s3.put_object(Bucket=serving.bucket, Key="packs/a.jsonl", Body=b"one\ntwo\n")
    job = _transform(serving, BatchStrategy="MultiRecord")
    assert job["TransformJobStatus"] == "Completed"
    out = s3.get_object(Bucket=serving.bucket, Key="out/a.jsonl.out")["Body"].read()
    assert json.loads(out)["body"] == "one\ntwo"


@pytest.mark.parametrize(
    ("body", "reason"), [(b"bad line", "no such type"), (b"die", "did not respond"), (None, "No S3 objects found")]
)
def should_fail_a_transform_job_with_the_real_error(serving: Serving, s3: Any, body: bytes | None, reason: str) -> None:
    if body:
        s3.put_object(Bucket=serving.bucket, Key="packs/a.jsonl", Body=body)
    job = _transform(serving)
    assert job["TransformJobStatus"] == "Failed"
    assert reason in job["FailureReason"]


def should_number_and_approve_model_packages(serving: Serving, sagemaker: Any) -> None:
    group = any_name("group")
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    model = sagemaker.describe_model(ModelName=serving.model("packaged"))
    container = {"Image": "image", "ModelDataUrl": model["PrimaryContainer"]["ModelDataUrl"]}
    request = {
        "ModelPackageGroupName": group,
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "CustomerMetadataProperties": {"dataset": "d-1"},
    }
    arns = [sagemaker.create_model_package(**request)["ModelPackageArn"] for _ in range(3)]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2", "3"]
    described = sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert (described["ModelApprovalStatus"], described["ModelPackageVersion"]) == ("PendingManualApproval", 2)
    sagemaker.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")
    approved = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in approved["ModelPackageSummaryList"]] == [arns[1]]
    first = sagemaker.list_model_packages(ModelPackageGroupName=group, MaxResults=1)
    assert first["ModelPackageSummaryList"][0]["ModelPackageArn"] == arns[2]
    assert "NextToken" in first
    name = any_name("model")
    sagemaker.create_model(ModelName=name, Containers=[{"ModelPackageName": arns[1]}], ExecutionRoleArn=ROLE)
    endpoint = any_name("endpoint")
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=serving.config(name))
    assert serving.settled(endpoint)["EndpointStatus"] == "InService"
    assert serving.ask(endpoint)["model"] == "packaged"
    with pytest.raises(ClientError) as error:
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert error.value.response["Error"]["Code"] == "ConflictException"
    for arn in arns:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package(ModelPackageName=arns[0])


def should_keep_tags(sagemaker: Any) -> None:
    group = any_name("group")
    arn = sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=[{"Key": "a", "Value": "1"}])[
        "ModelPackageGroupArn"
    ]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
