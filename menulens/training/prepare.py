"""From a dataset to everything that CreateTrainingJob needs and that only the dataset knows."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from menulens.core import keys, names
from menulens.storage import ObjectMissingError, Storage, parse_s3_uri
from menulens.training import outcome, registry

LATEST: Final = "latest"
PROGRAM: Final = "train.py"
SEED: Final = 20_260
LONGEST_JOB_NAME: Final = 63
LONGEST_HYPERPARAMETER: Final = 2_500  # what the service takes as one value
RECORDS: Final = "application/x-recordio"
_DATASET: Final = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")
_ROOM_FOR_ATTEMPT: Final = len("-r99")


class TrainingError(Exception):
    """A training job that can't be started; the message says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training job is prepared: what the deployment knows.

    Attributes
    ----------
    source_uri
        The training source's ``.tar.gz``, whose name is the hash of its content.
    image
        The training container.
    """

    environment: str
    region: str
    datasets_bucket: str
    models_bucket: str
    source_uri: str
    image: str


@dataclass(frozen=True, slots=True)
class Backbone:
    """A staged backbone: the SavedModel under ``uri``."""

    name: str
    sha256: str
    uri: str


def prepare(
    dataset: str, place: Place, settings: Mapping[str, Any], storage: Storage, sagemaker: Any
) -> dict[str, Any]:
    """Return what the training job of a dataset is given.

    Parameters
    ----------
    dataset
        A dataset's id, its ``s3://…/<id>/`` or ``latest``.
    settings
        The environment's settings as JSON values.

    Returns
    -------
    dict
        ``training_job`` (its name follows from the dataset, the settings, the backbone, the source and the image, so
        that the same work has one name), ``hyperparameters``, ``channels``, ``dataset``, ``dataset_uri`` and
        ``champion`` (a model version, or empty).

    Raises
    ------
    TrainingError
        If the dataset, its card or the backbone is missing or can't be used.
    """
    card = _card(_dataset_id(dataset, place, storage), place, storage)
    backbone = staged_backbone(settings["training"]["backbone"], place.models_bucket, storage)
    group = names.model_package_group(place.environment)
    champion = registry.champion(sagemaker, group)
    wanted = job_name(card["dataset"], place, settings, backbone)
    name, _ = outcome.next_attempt(sagemaker, "training", wanted)
    return {
        keys.TRAINING_JOB: name,
        keys.DATASET: card["dataset"],
        keys.DATASET_URI: f"s3://{place.datasets_bucket}/{card['dataset']}/",
        "champion": champion.model_version if champion else "",
        "hyperparameters": _hyperparameters(name, card, backbone, place, settings),
        "channels": _channels(card, backbone, champion, place),
    }


def job_name(dataset: str, place: Place, settings: Mapping[str, Any], backbone: Backbone) -> str:
    """Return the name of the training job, at most 59 characters: environment, dataset, fingerprint.

    Whatever changes the model changes the fingerprint; what only changes where it is trained does not.
    """
    elsewhere = {"instance_type", "volume_gb", "max_hours"}
    decisive = {
        "dataset": dataset,
        "training": {key: value for key, value in settings["training"].items() if key not in elsewhere},
        "caps": [settings["photos"]["max_pixels"], settings["photos"]["max_bytes"]],
        "backbone": backbone.sha256,
        "source": place.source_uri.rsplit("/", 1)[-1],
        "image": place.image.rsplit("/", 1)[-1],
        "seed": SEED,
    }
    fingerprint = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]
    start = f"{names.prefix(place.environment)}-"
    label, _, digest = dataset.rpartition("-")
    ending = f"-{digest[:12]}-{fingerprint}"
    room = LONGEST_JOB_NAME - len(start) - len(ending) - _ROOM_FOR_ATTEMPT
    return start + (label[:room].strip("-") or "d") + ending


def staged_backbone(name: str, models_bucket: str, storage: Storage) -> Backbone:
    """Return the backbone that was staged under a name.

    Raises
    ------
    TrainingError
        If none was; the message names the command that stages it.
    """
    pointer = f"s3://{models_bucket}/backbones/{name}/current.json"
    try:
        told = storage.read_json(pointer)
    except ObjectMissingError:
        raise TrainingError(
            f"training.backbone is {name!r}, but none is staged: {pointer} is missing. Stage it once, and start again: "
            f"menulens backbone stage {name}"
        ) from None
    sha256 = told.get("sha256") if isinstance(told, dict) else None
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise TrainingError(f"{pointer}: no sha256 in it. Stage the backbone again: menulens backbone stage {name}")
    return Backbone(name, sha256, f"s3://{models_bucket}/backbones/{name}/{sha256}/")


def _dataset_id(dataset: str, place: Place, storage: Storage) -> str:
    if dataset == LATEST:
        return _latest(place, storage)
    if dataset.startswith("s3://"):
        uri = parse_s3_uri(dataset)
        if uri.bucket != place.datasets_bucket:
            raise TrainingError(f"dataset: {dataset} is not in the bucket of datasets, {place.datasets_bucket}.")
        dataset = uri.key.strip("/")
    if not _DATASET.fullmatch(dataset):
        raise TrainingError(
            f"dataset: {dataset!r} is no dataset's id; allowed: the id in a card.json, its s3://…/<id>/ or {LATEST!r}."
        )
    return dataset


def _latest(place: Place, storage: Storage) -> str:
    """Return the dataset whose card was written last: the card is what commits a dataset."""
    newest, found = None, ""
    for item in storage.list(f"s3://{place.datasets_bucket}/"):
        folder, _, file = item.key.partition("/")
        if file == keys.CARD and (newest is None or (item.modified, item.key) > newest):
            newest, found = (item.modified, item.key), folder
    if newest is None:
        raise TrainingError(f"dataset: {LATEST!r} was asked for, but {place.datasets_bucket} holds no dataset yet.")
    return found


def _card(dataset: str, place: Place, storage: Storage) -> dict[str, Any]:
    uri = f"s3://{place.datasets_bucket}/{dataset}/{keys.CARD}"
    try:
        card = storage.read_json(uri)
    except ObjectMissingError:
        raise TrainingError(
            f"dataset: {dataset!r} is not there, or was never finished: {uri} is missing. Clean its manifest first."
        ) from None
    needed = ("dataset", "label_attribute", "classes", "label_to_class", "counts")
    missing = [key for key in needed if key not in card]
    if missing:
        raise TrainingError(f"{uri}: lacks {', '.join(missing)}. Start clean again with its manifest.")
    if card["dataset"] != dataset:
        raise TrainingError(f"{uri}: is the card of {card['dataset']!r}. Datasets are not renamed: start clean again.")
    return dict(card)


def _hyperparameters(
    name: str, card: Mapping[str, Any], backbone: Backbone, place: Place, settings: Mapping[str, Any]
) -> dict[str, str]:
    training, photos = settings["training"], settings["photos"]
    values: dict[str, Any] = {
        "sagemaker_program": PROGRAM,
        "sagemaker_submit_directory": place.source_uri,
        "sagemaker_region": place.region,
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": name,
        # The toolkit turns a list or object into another spelling on its way to the program: text stays text.
        "classes": json.dumps(card["classes"], ensure_ascii=False),
        "label_to_class": json.dumps(card["label_to_class"]),
        "backbone": backbone.name,
        **{
            key: training[key]
            for key in (
                "image_size",
                "batch_size",
                "head_epochs",
                "epochs",
                "learning_rate",
                "max_undecodable_share",
            )
        },
        "train_photos": sum(card["counts"]["train"].values()),
        "eval_photos": sum(card["counts"]["eval"].values()),
        "dataset": card["dataset"],
        "max_pixels": photos["max_pixels"],
        "max_bytes": photos["max_bytes"],
        "model_version": name,
        "seed": SEED,
    }
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    for key, text in texts.items():
        if len(text) > LONGEST_HYPERPARAMETER:
            raise TrainingError(
                f"{key}: {len(text)} characters as a hyperparameter; SageMaker takes {LONGEST_HYPERPARAMETER}. "
                "Use fewer categories, or shorter keys for them."
            )
    return texts


def _channels(
    card: Mapping[str, Any], backbone: Backbone, champion: registry.Package | None, place: Place
) -> list[dict[str, Any]]:
    folder = f"s3://{place.datasets_bucket}/{card['dataset']}"
    attributes = [keys.SOURCE_REF, card["label_attribute"]]
    channels = [
        {**_records("train", f"{folder}/{keys.TRAIN_MANIFEST}", attributes), "ShuffleConfig": {"Seed": SEED}},
        _records("eval", f"{folder}/{keys.EVAL_MANIFEST}", attributes),
        _files("backbone", backbone.uri),
    ]
    if champion is not None:
        channels.append(_files("champion", champion.model_data_url))
    return channels


def _records(name: str, manifest: str, attributes: list[str]) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "AugmentedManifestFile",
                "S3Uri": manifest,
                "S3DataDistributionType": "FullyReplicated",
                "AttributeNames": attributes,
            }
        },
        "ContentType": RECORDS,
        "CompressionType": "None",
        "RecordWrapperType": "RecordIO",
        "InputMode": "Pipe",
    }


def _files(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        },
        "CompressionType": "None",
        "InputMode": "File",
    }
