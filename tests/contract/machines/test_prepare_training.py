from collections.abc import Callable
from typing import Any

import pytest
from botocore.validate import validate_parameters

from menulens.storage import Storage
from menulens.training.prepare import Place, TrainingError, prepare
from tests.contract.machines.generators import any_backbone, any_dataset, any_group, any_package

DATASET = "menu-0123456789ab"


@pytest.fixture
def place(bucket: Callable[[str], str], environment: str, storage: Storage, sagemaker: Any) -> Place:
    place = Place(
        environment=environment,
        region="us-east-1",
        datasets_bucket=bucket("datasets"),
        models_bucket=bucket("models"),
        source_uri="s3://assets/0123.tar.gz",
        image="763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-gpu-py312",
    )
    any_group(sagemaker, environment)
    return place


def should_give_a_training_job_its_channels_and_hyperparameters(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any
) -> None:
    any_dataset(storage, place.datasets_bucket, DATASET)
    sha256 = any_backbone(storage, place.models_bucket)
    prepared = prepare(DATASET, place, settings, storage, sagemaker)
    assert prepared["dataset"] == DATASET
    assert prepared["dataset_uri"] == f"s3://{place.datasets_bucket}/{DATASET}/"
    assert prepared["champion"] == ""
    train, evaluate, backbone = prepared["channels"]
    assert train["DataSource"]["S3DataSource"] == {
        "S3DataType": "AugmentedManifestFile",
        "S3Uri": f"s3://{place.datasets_bucket}/{DATASET}/train.manifest",
        "S3DataDistributionType": "FullyReplicated",
        "AttributeNames": ["source-ref", "menu-category"],
    }
    assert (train["InputMode"], train["RecordWrapperType"]) == ("Pipe", "RecordIO")
    assert train["ShuffleConfig"]["Seed"] > 0
    assert evaluate["DataSource"]["S3DataSource"]["S3Uri"].endswith("/eval.manifest")
    assert "ShuffleConfig" not in evaluate
    assert backbone["InputMode"] == "File"
    assert backbone["DataSource"]["S3DataSource"]["S3Uri"] == (
        f"s3://{place.models_bucket}/backbones/efficientnet_lite0/{sha256}/"
    )
    told = prepared["hyperparameters"]
    assert told["sagemaker_program"] == '"train.py"'
    assert told["classes"] == '"[\\"meal\\", \\"drink\\"]"'
    assert told["label_to_class"] == '"{\\"0\\": 0, \\"2\\": 1}"'
    assert (told["train_photos"], told["eval_photos"], told["epochs"]) == ("70", "18", "1")
    assert told["model_version"] == told["sagemaker_job_name"] == f'"{prepared["training_job"]}"'
    shape = sagemaker.meta.service_model.operation_model("CreateTrainingJob").input_shape
    for key, member in (("channels", "InputDataConfig"), ("hyperparameters", "HyperParameters")):
        validate_parameters(prepared[key], shape.members[member])


def should_hand_the_champion_to_the_challenger(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any
) -> None:
    any_dataset(storage, place.datasets_bucket, DATASET)
    any_backbone(storage, place.models_bucket)
    group = f"menulens-{place.environment}-classifier"
    any_package(sagemaker, group, "job-1")
    any_package(sagemaker, group, "job-2")
    any_package(sagemaker, group, "job-3", status="Rejected")
    any_package(sagemaker, group, "job-4", status="PendingManualApproval")
    prepared = prepare(DATASET, place, settings, storage, sagemaker)
    assert prepared["champion"] == "job-2"
    champion = prepared["channels"][-1]
    assert champion["ChannelName"] == "champion"
    assert champion["DataSource"]["S3DataSource"]["S3Uri"] == "s3://models/training/job-2/output/model.tar.gz"


def should_take_the_dataset_whose_card_was_written_last(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any
) -> None:
    any_backbone(storage, place.models_bucket)
    any_dataset(storage, place.datasets_bucket, "old-0123456789ab")
    any_dataset(storage, place.datasets_bucket, "new-0123456789ab")
    storage.write_bytes(f"s3://{place.datasets_bucket}/unfinished-0123456789ab/train.manifest", b"{}")
    storage.write_bytes(f"s3://{place.datasets_bucket}/inbox/deep/card.json", b"{}")
    assert prepare("latest", place, settings, storage, sagemaker)["dataset"] == "new-0123456789ab"


def should_take_a_dataset_by_its_place(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any
) -> None:
    any_backbone(storage, place.models_bucket)
    any_dataset(storage, place.datasets_bucket, DATASET)
    uri = f"s3://{place.datasets_bucket}/{DATASET}/"
    assert prepare(uri, place, settings, storage, sagemaker)["dataset"] == DATASET


def should_say_how_to_stage_a_backbone_that_is_missing(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any
) -> None:
    any_dataset(storage, place.datasets_bucket, DATASET)
    with pytest.raises(TrainingError, match="menulens backbone stage efficientnet_lite0"):
        prepare(DATASET, place, settings, storage, sagemaker)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("nosuch-0123456789ab", "is not there, or was never finished"),
        ("latest", "holds no dataset yet"),
        ("s3://elsewhere/menu-0123456789ab/", "is not in the bucket of datasets"),
        ("../card", "is no dataset's id"),
    ],
)
def should_say_what_is_wrong_with_a_dataset(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any, dataset: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        prepare(dataset, place, settings, storage, sagemaker)


def should_not_train_on_a_card_that_was_copied_from_another_dataset(
    place: Place, settings: dict[str, Any], storage: Storage, sagemaker: Any
) -> None:
    any_dataset(storage, place.datasets_bucket, DATASET, dataset="other-0123456789ab")
    with pytest.raises(TrainingError, match="is the card of 'other-0123456789ab'"):
        prepare(DATASET, place, settings, storage, sagemaker)
