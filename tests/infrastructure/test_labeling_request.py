"""The request for a labeling job: every field of image classification, valid by the service's own model."""

import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from menulens.labeling.layout import inputs

JOB = "menulens-local-labels-0123456789ab"
LABELS = "menulens-local-labels-123456789012-us-east-1"
# What the state before, BuildInputManifest, answers.
STATE = {
    "job_name": JOB,
    "input_manifest": f"{inputs(LABELS, JOB)}/input.manifest",
    "categories_uri": f"{inputs(LABELS, JOB)}/categories.json",
    "template_uri": f"{inputs(LABELS, JOB)}/template.liquid.html",
}


def filled_in(parameters: Any) -> Any:
    """Return a state's Parameters as Step Functions sends them."""
    if isinstance(parameters, dict):
        return {
            key.removesuffix(".$"): STATE[value.removeprefix("$.")] if key.endswith(".$") else filled_in(value)
            for key, value in parameters.items()
        }
    return [filled_in(item) for item in parameters] if isinstance(parameters, list) else parameters


@pytest.fixture(scope="session")
def request_(ground_truth_machines: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = filled_in(ground_truth_machines["label"]["States"]["CreateLabelingJob"]["Parameters"])
    return request


def should_be_valid_by_the_services_model(request_: dict[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateLabelingJob").input_shape
    assert ParamValidator().validate(request_, shape).generate_report() == ""


def should_ask_for_image_classification_with_every_field(request_: dict[str, Any]) -> None:
    team = request_["HumanTaskConfig"].pop("WorkteamArn")
    assert team == "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/menulens-local-annotators"
    question = "この写真はどれですか？ / What does this photo show?"
    assert request_ == {
        "LabelingJobName": JOB,
        "LabelAttributeName": "menu-category",
        "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": STATE["input_manifest"]}}},
        "OutputConfig": {"S3OutputPath": f"s3://{LABELS}/jobs/"},
        "RoleArn": "arn:aws:iam::123456789012:role/menulens-local-labeling-job",
        "LabelCategoryConfigS3Uri": STATE["categories_uri"],
        "StoppingConditions": {"MaxPercentageOfInputDatasetLabeled": 100},
        "HumanTaskConfig": {
            "UiConfig": {"UiTemplateS3Uri": STATE["template_uri"]},
            "PreHumanTaskLambdaArn": "arn:aws:lambda:us-east-1:432418664414:function:PRE-ImageMultiClass",
            "TaskKeywords": ["menu", "photo", "food", "image classification"],
            "TaskTitle": question,
            "TaskDescription": question,
            "NumberOfHumanWorkersPerDataObject": 3,
            "TaskTimeLimitInSeconds": 300,
            "TaskAvailabilityLifetimeInSeconds": 30 * 86_400,
            "MaxConcurrentTaskCount": 1_000,
            "AnnotationConsolidationConfig": {
                "AnnotationConsolidationLambdaArn": (
                    "arn:aws:lambda:us-east-1:432418664414:function:ACS-ImageMultiClass"
                )
            },
        },
        "Tags": [{"Key": "project", "Value": "menulens"}, {"Key": "environment", "Value": "local"}],
    }


def should_wait_for_the_job_and_go_on_whatever_becomes_of_it(ground_truth_machines: dict[str, Any]) -> None:
    state = ground_truth_machines["label"]["States"]["CreateLabelingJob"]
    assert state["Resource"] == "arn:aws:states:::sagemaker:createLabelingJob.sync"
    assert state["Next"] == "LocateLabels"
    assert state["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "LocateLabels", "ResultPath": "$.job_error"}]
    assert [retry["ErrorEquals"] for retry in state["Retry"]] == [["SageMaker.AmazonSageMakerException"]]
    assert state["TimeoutSeconds"] > request_time(ground_truth_machines)


def request_time(machines: dict[str, Any]) -> int:
    parameters = machines["label"]["States"]["CreateLabelingJob"]["Parameters"]
    seconds: int = parameters["HumanTaskConfig"]["TaskAvailabilityLifetimeInSeconds"]
    return seconds


def should_start_every_machine_with_a_check_of_its_input(machines: dict[str, Any]) -> None:
    assert set(machines) == {"label", "clean", "snapshot", "add", "train", "deploy", "vectorise"}
    for machine, definition in machines.items():
        assert definition["StartAt"] == "CheckInput"
        first = definition["States"]["CheckInput"]
        assert first["Parameters"] == {"machine": machine, "input.$": "$"}, json.dumps(first)
        assert "Catch" not in first
