"""What each state of train, deploy and vectorise asks AWS for, held against botocore's service model."""

from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk import aws_iam as iam
from botocore.validate import validate_parameters

from stacks.steps.scaling import Scaling
from stacks.steps.serving import EndpointRequests
from tests.infrastructure.model_chain import Kind, Stack, any_settings, templates
from tests.infrastructure.rendering import definition, resolved, states
from tests.tools.apps import app_of_templates

ARN = "arn:aws:sagemaker:us-east-1:111122223333:model-package/menulens-test-classifier/3"
SERVED = {
    "model_name": "menulens-test-v3-0123456789",
    "model_data_url": "s3://models/training/job/output/model.tar.gz",
    "image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20-gpu-py312",
    "model_package": ARN,
    "model_version": "job",
}
DATA: dict[str, Any] = {
    "training": {
        "training_job": "menulens-test-menu-0123456789ab-01234567",
        "dataset": "menu-0123456789ab",
        "hyperparameters": {"epochs": "8"},
        "channels": [
            {
                "ChannelName": "backbone",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/backbones/a/b/"}},
            }
        ],
    },
    "gate": {
        "description": "Trained by job",
        "model_data_url": SERVED["model_data_url"],
        "metadata": {"training_job": "job", "accuracy": "0.8123"},
    },
    "deployment": {
        **SERVED,
        "endpoint": "menulens-test-vectors",
        "config_name": "menulens-test-v3-abcdef0123",
        "previous_config": "menulens-test-v2-abcdef0123",
    },
    "plan": {
        **SERVED,
        "transform_job": "menulens-test-0123456789ab",
        "packs_uri": "s3://vectors/job/packs/0123456789ab/",
        "answers_uri": "s3://vectors/job/transform/0123456789ab",
    },
}
DUE = {
    "training": {"RunTrainingJob", "RegisterModel"},
    "serving": {
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "UpdateEndpoint",
        "RollBack",
        "RemoveFailedEndpoint",
        "RemoveNewEndpoint",
        "LookAtEndpoint",
        "LookAtRollback",
        "WithdrawApproval",
        "WithdrawWhatWasTakenBack",
        "StopScaling",
    },
    "similarity": {"CreateModel", "RunTransformJob"},
}
GROWING = {"RegisterScalableTarget", "PutScalingPolicy", "RegisterTargetAgain", "PutPolicyAgain"}
SERVICES = {"sagemaker": "sagemaker", "applicationautoscaling": "application-autoscaling"}


def requests(kind: Kind, stack: Stack) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return service, operation and resolved parameters of each state that sends a request of its own."""
    found = {}
    for name, state in states(definition(templates(kind)[stack])).items():
        resource = state.get("Resource", "")
        if not resource.startswith(("arn:aws:states:::sagemaker:", "arn:aws:states:::aws-sdk:")):
            continue
        service, action = resource.removeprefix("arn:aws:states:::").removeprefix("aws-sdk:").split(":")
        action = action.removesuffix(".sync")
        found[name] = (SERVICES[service], action[0].upper() + action[1:], resolved(state["Parameters"], DATA))
    return found


@pytest.mark.parametrize("stack", ["training", "serving", "similarity"])
@pytest.mark.parametrize("kind", ["small", "large"])
def should_send_requests_that_the_service_takes(kind: Kind, stack: Stack) -> None:
    found = requests(kind, stack)
    scaling = {"small": {"LeaveTheNumberAsItIs"}, "large": GROWING}[kind]
    assert set(found) == DUE[stack] | (scaling if stack == "serving" else set())
    for service, operation, parameters in found.values():
        model = boto3.client(service, region_name="us-east-1").meta.service_model.operation_model(operation)
        validate_parameters(parameters, model.input_shape)


@pytest.mark.parametrize("stack", ["training", "serving", "similarity"])
def should_try_again_after_throttling_and_faults_of_the_server_by_the_name_they_have(stack: Stack) -> None:
    for name, state in states(definition(templates("small")[stack])).items():
        if ":sagemaker:" in state.get("Resource", ""):
            sdk = "SageMakerException" if "aws-sdk" in state["Resource"] else "AmazonSageMakerException"
            *_, (again,) = (retry["ErrorEquals"] for retry in state["Retry"])
            assert again == f"SageMaker.{sdk}", name


def should_try_a_pack_of_photos_again_whatever_it_failed_of() -> None:
    packing = states(definition(templates("small")["similarity"]))["PackPhotos"]["ItemProcessor"]["States"]
    *_, again = packing["PackSome"]["Retry"]
    assert (again["ErrorEquals"], again["MaxAttempts"]) == (["States.TaskFailed"], 2)


def should_train_from_a_pipe_in_the_training_container() -> None:
    _, operation, request = requests("small", "training")["RunTrainingJob"]
    assert operation == "CreateTrainingJob"
    assert request["AlgorithmSpecification"]["TrainingImage"] == (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-gpu-py312"
    )
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == "Pipe"
    assert request["OutputDataConfig"] == {"S3OutputPath": "s3://menulens-test-models-111122223333-us-east-1/training"}
    assert request["ResourceConfig"] == {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50}
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 12 * 3600}
    assert {"Key": "environment", "Value": "test"} in request["Tags"]


@pytest.mark.parametrize(("kind", "status"), [("small", "Approved"), ("large", "PendingManualApproval")])
def should_register_as_the_settings_say_and_once(kind: Kind, status: str) -> None:
    _, _, request = requests(kind, "training")["RegisterModel"]
    assert request["ModelApprovalStatus"] == status
    assert request["ModelPackageGroupName"] == "menulens-test-classifier"
    assert request["InferenceSpecification"]["Containers"][0]["Image"] == SERVED["image"]
    assert len(request["ClientToken"]) == 32


def should_serve_with_batching_and_without_a_network() -> None:
    for stack in ("serving", "similarity"):
        _, _, request = requests("small", stack)["CreateModel"]
        assert request["EnableNetworkIsolation"] is True
        assert request["PrimaryContainer"]["Environment"]["SAGEMAKER_TFS_ENABLE_BATCHING"] == "true"
        assert request["PrimaryContainer"]["ModelDataUrl"] == SERVED["model_data_url"]
    same = [requests("small", stack)["CreateModel"][2]["PrimaryContainer"] for stack in ("serving", "similarity")]
    assert same[0] == same[1]


def should_change_the_endpoint_blue_green_and_go_back_when_an_alarm_rings() -> None:
    _, _, request = requests("small", "serving")["UpdateEndpoint"]
    rollout = request["DeploymentConfig"]
    assert rollout["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"
    alarms = {
        f"${{{name}}}"
        for name, resource in templates("small")["serving"]["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert {alarm["AlarmName"] for alarm in rollout["AutoRollbackConfiguration"]["Alarms"]} == alarms
    assert len(alarms) == 2


def should_try_one_instance_first_where_it_is_known_to_be_one_of_many() -> None:
    def updated(least: int, most: int) -> dict[str, Any]:
        serving = any_settings("small").serving.model_copy(update={"min_instances": least, "max_instances": most})
        stack = cdk.Stack(app_of_templates(), "any")
        settings = any_settings("small").model_copy(update={"serving": serving})
        role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111122223333:role/any")
        asked = EndpointRequests(
            stack, "Requests", settings=settings, role=role, alarms=["any"], scaling=Scaling(settings)
        ).update(stack)
        parameters: dict[str, Any] = asked.to_state_json()["Parameters"]
        return parameters

    def routing(request: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = request["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
        return found

    fixed = updated(3, 3)
    assert fixed["RetainAllVariantProperties"] is False, "the number is the configuration's"
    assert routing(fixed) == {
        "Type": "CANARY",
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
        "WaitIntervalInSeconds": 300,
    }
    scaled = updated(2, 4)
    assert scaled["RetainAllVariantProperties"] is True, "what has grown stays grown"
    assert routing(scaled)["Type"] == "ALL_AT_ONCE", "it may be one instance as yet"


def should_go_back_to_the_previous_configuration() -> None:
    _, operation, request = requests("small", "serving")["RollBack"]
    assert operation == "UpdateEndpoint"
    assert request["EndpointConfigName"] == DATA["deployment"]["previous_config"]


def should_let_the_endpoint_grow_as_the_settings_say() -> None:
    found = requests("large", "serving")
    _, _, target = found["RegisterScalableTarget"]
    assert target["ResourceId"] == "endpoint/menulens-test-vectors/variant/AllTraffic"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    config = found["CreateEndpointConfig"][2]["ProductionVariants"][0]
    assert (config["VariantName"], config["InitialInstanceCount"]) == ("AllTraffic", 2)


def should_transform_line_by_line_in_requests_that_the_largest_photo_fits_into() -> None:
    _, _, request = requests("small", "similarity")["RunTransformJob"]
    assert request["TransformInput"]["SplitType"] == request["TransformOutput"]["AssembleWith"] == "Line"
    assert request["TransformInput"]["ContentType"] == request["TransformOutput"]["Accept"] == "application/jsonlines"
    assert request["BatchStrategy"] == "MultiRecord"
    assert request["MaxPayloadInMB"] * 2**20 > any_settings("small").photos.max_bytes * 4 / 3
    # The service's own limit for the two together.
    assert request["MaxPayloadInMB"] * request["MaxConcurrentTransforms"] <= 100
