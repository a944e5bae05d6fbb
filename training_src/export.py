"""Writes the model archive: a SavedModel that takes encoded photos, and the code and facts that serve it."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from backbone import Classifier
from photo_ops import OK, REASONS, PhotoLimits, safe_decode

VERSION_FOLDER: Final = "1"


class ChampionError(Exception):
    """A champion that can't be compared with; the message says what is wrong with its archive."""


class Server(tf.Module):  # type: ignore[misc]
    """Encoded photos in; vectors, probabilities and whether each photo could be decoded out."""

    def __init__(self, classifier: Classifier, limits: PhotoLimits) -> None:
        super().__init__(name="server")
        self.classifier = classifier
        self.limits = limits

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="photo")])  # type: ignore[untyped-decorator]
    def serve(self, photo: Any) -> dict[str, Any]:
        """Serve a batch; see the package's model contract for names and shapes."""
        images, codes = safe_decode(photo, self.limits)
        decoded = codes == OK
        features = self.classifier.features(images)
        probabilities = tf.nn.softmax(self.classifier.logits(features))
        keep = tf.cast(decoded, tf.float32)[:, tf.newaxis]
        return {
            "vector": tf.math.l2_normalize(features, axis=-1) * keep,
            "probabilities": probabilities * keep,
            "decoded": decoded,
            "reason": codes,
        }


def write_archive(
    classifier: Classifier,
    limits: PhotoLimits,
    facts: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    model_dir: Path,
) -> None:
    """Write what SageMaker packs into ``model.tar.gz``; a job that dies before the end leaves no half model.

    Parameters
    ----------
    facts
        ``model.json`` without limits and reasons.
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="menulens-export-") as scratch:
        folder = Path(scratch)
        server = Server(classifier, limits)
        tf.saved_model.save(server, str(folder / VERSION_FOLDER), signatures={"serving_default": server.serve})
        code = folder / "code"
        code.mkdir()
        shutil.copyfile(Path(__file__).with_name("inference.py"), code / "inference.py")
        told = {**facts, "limits": {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels}}
        write_json(code / "model.json", {**told, "reasons": list(REASONS)})
        write_json(code / "evaluation.json", evaluation)
        for part in ("code", VERSION_FOLDER):
            shutil.move(str(folder / part), str(model_dir / part))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a value as indented JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


class Champion:
    """The model in service, read from its archive, for a comparison on the same photos."""

    def __init__(self, channel: Path, scratch: Path) -> None:
        archive = next(iter(sorted(channel.rglob("*.tar.gz"))), None)
        if archive is None:
            raise ChampionError(f"{channel}: no model.tar.gz in the champion channel")
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
            facts = json.loads((scratch / "code" / "model.json").read_text(encoding="utf-8"))
            self.model_version, self.classes = str(facts["model_version"]), [str(key) for key in facts["classes"]]
            model = tf.saved_model.load(str(scratch / VERSION_FOLDER))
            self._serve = model.signatures["serving_default"]
        except (OSError, tarfile.TarError, ValueError, KeyError) as error:
            raise ChampionError(
                f"{archive}: the champion can't be loaded ({error}). Reject its model package to train without it."
            ) from error
        self._model = model  # a signature does not keep its variables alive

    def predict(self, photos: Any, classes: list[str]) -> np.ndarray[Any, Any]:
        """Return its class for each encoded photo as a place in ``classes``; -1 for a class that is not there."""
        probabilities = self._serve(photo=photos)["probabilities"].numpy()
        places = np.array([classes.index(key) if key in classes else -1 for key in self.classes])
        return np.where(probabilities.sum(axis=1) > 0, places[probabilities.argmax(axis=1)], -1)
