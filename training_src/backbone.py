"""The backbone: a TF-Hub-style SavedModel from the ``backbone`` channel, and the classifier on top of it.

The SavedModel is loaded with ``tf.saved_model.load`` and called inside our own gradient tape, so its own variables are
what is trained and what the export writes. (A Keras 3 layer around ``hub.load`` does not see those variables and leaves
them as they were, without a word.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

CARD: Final = "backbone.json"


class BackboneError(Exception):
    """A backbone that can't be used; the message says why, and what one must offer."""


@dataclass(frozen=True, slots=True)
class BackboneCard:
    """What ``backbone.json`` says: where the SavedModel came from and how it is fed."""

    name: str
    sha256: str
    width: int
    image_size: int
    preprocessing: str = "0..1"

    @property
    def json(self) -> dict[str, Any]:
        """What travels in the model archive."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "width": self.width,
            "preprocessing": self.preprocessing,
        }


def folder_sha256(folder: Path) -> str:
    """Return one hash over the names and contents of a SavedModel's files, its card left out."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def load_backbone(folder: Path) -> tuple[Any, BackboneCard]:
    """Load the SavedModel and its card.

    Raises
    ------
    BackboneError
        If a file is missing or was changed, or the SavedModel can't be called or has nothing to train.
    """
    try:
        card = BackboneCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BackboneError(
            f"{folder / CARD}: not readable as a backbone card ({error}). Stage one: menulens backbone stage HANDLE"
        ) from error
    found = folder_sha256(folder)
    if found != card.sha256:
        raise BackboneError(
            f"{folder}: the files' SHA-256 is {found}, the card says {card.sha256}: "
            "the backbone was changed or copied in part"
        )
    if card.preprocessing not in ("0..1", "-1..1"):
        raise BackboneError(f"{folder / CARD}: preprocessing is {card.preprocessing!r}; allowed: '0..1', '-1..1'")
    model = tf.saved_model.load(str(folder))
    if not callable(model) or not getattr(model, "trainable_variables", None):
        raise BackboneError(
            f"{folder}: not a reusable SavedModel: it must be callable and have trainable_variables, as a TF-Hub "
            "image feature vector of TensorFlow 2 has"
        )
    return model, card


class Classifier(tf.Module):  # type: ignore[misc]
    """Backbone, and a linear layer on standardised features.

    Attributes
    ----------
    kernel, bias
        float32 [width, classes] and [classes].
    mean, scale
        float32 [width]: what standardises a feature; measured once, not trained.
    """

    def __init__(self, backbone: Any, card: BackboneCard, classes: Sequence[str]) -> None:
        super().__init__(name="classifier")
        self.backbone = backbone
        self.card = card
        self.kernel = tf.Variable(tf.zeros([card.width, len(classes)]), name="head_kernel")
        self.bias = tf.Variable(tf.zeros([len(classes)]), name="head_bias")
        self.mean = tf.Variable(tf.zeros([card.width]), trainable=False, name="feature_mean")
        self.scale = tf.Variable(tf.ones([card.width]), trainable=False, name="feature_scale")

    @property
    def backbone_variables(self) -> list[Any]:
        """What fine-tuning changes below the head."""
        return list(self.backbone.trainable_variables)

    @property
    def head_variables(self) -> list[Any]:
        """What the head's own training changes."""
        return [self.kernel, self.bias]

    def features(self, images: Any) -> Any:
        """Return float32 [n, width] of images [n, s, s, 3] in 0 to 1.

        Batch normalisation runs in inference mode always: when frozen because it must not drift, when fine-tuning
        because a few batches of a small set make worse statistics than the millions of photos behind the stored ones.
        """
        if self.card.preprocessing == "-1..1":
            images = images * 2.0 - 1.0
        return call_backbone(self.backbone, images)

    def logits(self, features: Any) -> Any:
        """Return float32 [n, classes]."""
        return tf.matmul((features - self.mean) * self.scale, self.kernel) + self.bias

    def standardise(self, features: np.ndarray[Any, Any]) -> None:
        """Measure mean and scale on features [n, width]."""
        self.mean.assign(features.mean(axis=0))
        self.scale.assign(1.0 / np.sqrt(features.var(axis=0) + 1e-4))


def call_backbone(backbone: Any, images: Any) -> Any:
    """Call a reusable SavedModel in inference mode, whether or not it knows the ``training`` argument."""
    try:
        return backbone(images, training=False)
    except (ValueError, TypeError):
        return backbone(images)


def check_width(backbone: Any, card: BackboneCard, image_size: int) -> None:
    """Call the backbone once, and compare what it gives with what its card says.

    Raises
    ------
    BackboneError
        If it does not take such images or gives features of another width.
    """
    try:
        features = call_backbone(backbone, tf.zeros([1, image_size, image_size, 3]))
    except Exception as error:
        raise BackboneError(
            f"backbone {card.name} does not take images of {image_size}×{image_size} (its own size is "
            f"{card.image_size}): {str(error).splitlines()[0]}"
        ) from error
    if tuple(features.shape) != (1, card.width):
        raise BackboneError(f"backbone {card.name} gives {tuple(features.shape)}; its card says (1, {card.width})")


def randomise(variables: Sequence[Any], seed: int) -> None:
    """Overwrite a backbone's weights by random ones of the usual scale: the floor that pretraining must beat."""
    generator = np.random.default_rng(seed)
    for variable in variables:
        shape = tuple(variable.shape)
        name = variable.name.lower()
        if len(shape) >= 2:
            depthwise = "depthwise" in name or (len(shape) == 4 and shape[-1] == 1)
            fan_in = float(np.prod(shape[:2] if depthwise else shape[:-1]))
            value = generator.normal(0.0, (2.0 / fan_in) ** 0.5, shape)
        else:
            value = np.full(shape, 1.0 if "gamma" in name or "variance" in name else 0.0)
        variable.assign(value.astype(variable.dtype.as_numpy_dtype))
