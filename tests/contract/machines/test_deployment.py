from collections.abc import Callable
from typing import Any

import pytest

from menulens.core import names
from menulens.serving.deployment import DeploymentError, approved, prepare, resource_names, serving_package
from menulens.training.registry import RegistryError, describe
from tests.contract.machines.generators import IMAGE, any_group, any_package


def should_say_what_is_missing_for_a_first_deployment(
    sagemaker: Any, environment: str, settings: dict[str, Any]
) -> None:
    arn = any_package(sagemaker, any_group(sagemaker, environment), "job-1")
    prepared = prepare(arn, environment, settings, sagemaker)
    assert prepared["action"] == "create"
    assert (prepared["create_model"], prepared["create_config"]) == (True, True)
    assert prepared["previous_config"] == ""
    assert prepared["model_version"] == "job-1"
    assert prepared["endpoint"] == names.endpoint(environment)
    assert prepared["model_data_url"] == "s3://models/training/job-1/output/model.tar.gz"
    assert prepared["image"] == IMAGE
    assert prepared["model_name"].startswith(f"menulens-{environment}-v1-")


def should_find_what_an_earlier_try_made(
    s3: Any, sagemaker: Any, bucket: Callable[[str], str], environment: str, settings: dict[str, Any]
) -> None:
    models = bucket("models")
    s3.put_object(Bucket=models, Key="training/job-1/output/model.tar.gz", Body=b"an archive")
    arn = any_package(sagemaker, any_group(sagemaker, environment), "job-1", models=models)
    first = prepare(arn, environment, settings, sagemaker)
    sagemaker.create_model(
        ModelName=first["model_name"],
        PrimaryContainer={"Image": first["image"], "ModelDataUrl": first["model_data_url"]},
        ExecutionRoleArn="arn:aws:iam::000000000000:role/model",
    )
    second = prepare(arn, environment, settings, sagemaker)
    assert (second["create_model"], second["create_config"]) == (False, True)
    sagemaker.create_endpoint_config(
        EndpointConfigName=first["config_name"],
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": first["model_name"],
                "InstanceType": "ml.g5.xlarge",
                "InitialInstanceCount": 1,
            }
        ],
    )
    third = prepare(arn, environment, settings, sagemaker)
    assert (third["create_model"], third["create_config"]) == (False, False)
    assert third["model_name"] == first["model_name"]
    assert third["other_instances"] is False

    assert serving_package(sagemaker, environment) is None, "nothing serves as yet"
    sagemaker.create_endpoint(EndpointName=first["endpoint"], EndpointConfigName=first["config_name"])
    newest = any_package(sagemaker, names.model_package_group(environment), "job-2", models=models)
    served = serving_package(sagemaker, environment)
    assert served is not None
    assert served.arn == arn != newest, "what serves counts, not what was approved last"
    bigger = {**settings, "serving": {**settings["serving"], "instance_type": "ml.g6.xlarge"}}
    assert prepare(arn, environment, bigger, sagemaker)["other_instances"] is True


def should_name_the_configuration_otherwise_when_the_instances_change(
    sagemaker: Any, environment: str, settings: dict[str, Any]
) -> None:
    package = describe(sagemaker, any_package(sagemaker, any_group(sagemaker, environment), "job-1"))
    one = resource_names(environment, package, settings["serving"])
    other = resource_names(environment, package, {**settings["serving"], "instance_type": "ml.g6.xlarge"})
    assert one.model == other.model
    assert one.config != other.config


def should_name_the_configuration_after_a_number_only_where_it_is_fixed(
    sagemaker: Any, environment: str, settings: dict[str, Any]
) -> None:
    package = describe(sagemaker, any_package(sagemaker, any_group(sagemaker, environment), "job-1"))

    def config(least: int, most: int) -> str:
        serving = {**settings["serving"], "min_instances": least, "max_instances": most}
        return resource_names(environment, package, serving).config

    assert config(1, 4) == config(2, 8), "auto scaling is told, and the endpoint stays"
    assert len({config(1, 1), config(2, 2), config(1, 4)}) == 3


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def should_not_deploy_what_is_not_approved(sagemaker: Any, environment: str, status: str) -> None:
    arn = any_package(sagemaker, any_group(sagemaker, environment), "job-1", status=status)
    with pytest.raises(DeploymentError, match=f"is {status}. Approve it in the model registry"):
        approved(sagemaker, arn, environment)


def should_not_deploy_another_environments_model(sagemaker: Any, environment: str) -> None:
    arn = any_package(sagemaker, any_group(sagemaker, environment), "job-1")
    with pytest.raises(DeploymentError, match="is not in this environment's group menulens-other-classifier"):
        approved(sagemaker, arn, "other")


def should_say_that_a_package_is_not_there(sagemaker: Any, environment: str) -> None:
    arn = any_package(sagemaker, any_group(sagemaker, environment), "job-1")
    with pytest.raises(RegistryError, match="no such model package"):
        approved(sagemaker, arn.removesuffix("/1") + "/7", environment)


def should_say_that_a_package_was_not_made_here(sagemaker: Any, environment: str) -> None:
    group = any_group(sagemaker, environment)
    arn = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelApprovalStatus="Approved",
    )["ModelPackageArn"]
    with pytest.raises(RegistryError, match="not registered by the train state machine"):
        approved(sagemaker, arn, environment)
