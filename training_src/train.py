"""The training job: a classifier fine-tuned from a backbone on photos that stream through Pipe channels.

1. First pass over ``train``: every photo is decoded once; the frozen backbone's features train the head.
2. Further passes: backbone and head are fine-tuned together on augmented photos.
3. One pass over ``eval``: the report, with baselines and, where there is one, the champion on the same photos.
4. The model archive is written last and at once.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from backbone import BackboneError, Classifier, call_backbone, check_width, load_backbone, randomise
from evaluation import colour_histogram, compare, nearest_neighbours, normalise, report
from export import Champion, ChampionError, write_archive, write_json
from optimiser import Adam
from photo_ops import OK, REASONS, PhotoLimits, safe_decode
from pipe_dataset import PipeChannel, PipeError, PipeStoppedError, pipe_dataset
from training_job import Folders, HyperparameterError, Hyperparameters, StopRequestedError, StopSignal

log = logging.getLogger("menulens.train")

SHUFFLE_PHOTOS: Final = 512  # encoded photos kept to draw from; the channel's own shuffle does the rest
FEATURES_KEPT: Final = 200_000  # photos whose features fit in memory to train the head: 1 GB at width 1280
BASELINE_PHOTOS: Final = 5_000  # photos that the baselines know
HEAD_RATE: Final = 3e-3
LABEL_SMOOTHING: Final = 0.05
STOPPED: Final = 143  # what a process that SIGTERM ended answers: 128 + 15


class UndecodablePhotosError(Exception):
    """More photos than allowed could not be decoded."""


def train_input_fn(channel: PipeChannel, settings: Hyperparameters, epoch: int) -> Any:
    """Return the next epoch's training batches: shuffled, decoded, augmented, prefetched.

    Returns
    -------
    tf.data.Dataset
        ``(images, classes)``: float32 [n, s, s, 3] in 0 to 1, int32 [n]; a photo that can't be decoded is left out.
    """
    limits = limits_of(settings)

    def prepare(photos: Any, classes: Any, positions: Any) -> tuple[Any, Any]:
        images, codes = safe_decode(photos, limits)
        good = codes == OK
        images = augment(tf.boolean_mask(images, good), tf.boolean_mask(positions, good), settings.seed, epoch)
        return images, tf.boolean_mask(classes, good)

    batches = pipe_dataset(channel).shuffle(SHUFFLE_PHOTOS, seed=settings.seed + epoch).batch(settings.batch_size)
    return batches.map(prepare, num_parallel_calls=2, deterministic=True).prefetch(2)


def eval_input_fn(channel: PipeChannel, settings: Hyperparameters) -> Any:
    """Return the next epoch's photos as they are, in order, those that can't be decoded included.

    Returns
    -------
    tf.data.Dataset
        ``(photos, images, classes, positions, codes)``: string [n], float32 [n, s, s, 3], int32 [n], int64 [n], and
        int32 [n] places in ``REASONS``.
    """
    limits = limits_of(settings)

    def prepare(photos: Any, classes: Any, positions: Any) -> tuple[Any, ...]:
        images, codes = safe_decode(photos, limits)
        return photos, images, classes, positions, codes

    batches = pipe_dataset(channel).batch(settings.batch_size)
    return batches.map(prepare, num_parallel_calls=2, deterministic=True).prefetch(2)


def model_fn(folders: Folders, settings: Hyperparameters) -> Classifier:
    """Return the classifier on the backbone of the ``backbone`` channel, its head still all zeros."""
    backbone, card = load_backbone(folders.data / "backbone")
    check_width(backbone, card, settings.image_size)
    return Classifier(backbone, card, settings.classes)


def limits_of(settings: Hyperparameters) -> PhotoLimits:
    """Return what bounds decoding."""
    return PhotoLimits(settings.image_size, settings.max_bytes, settings.max_pixels)


def augment(images: Any, positions: Any, seed: int, epoch: int) -> Any:
    """Vary images as photos of one dish vary: crop, mirror, light and colour; the same for the same seed.

    Each photo's chance comes from its place in the epoch, so threads that finish in another order change nothing.
    """
    size = tf.shape(images)[1]

    def one(pair: tuple[Any, Any]) -> Any:
        image, position = pair
        key = tf.stack([tf.cast(position, tf.int32), tf.constant(seed * 7919 + epoch, tf.int32)])
        chance = tf.random.stateless_uniform([7], key)
        side = tf.sqrt(0.55 + 0.45 * chance[0])  # 55% to all of the area
        stretch = tf.exp((chance[1] - 0.5) * 0.4)
        height, width = tf.minimum(side * stretch, 1.0), tf.minimum(side / stretch, 1.0)
        top, left = chance[2] * (1.0 - height), chance[3] * (1.0 - width)
        box = tf.stack([top, left, top + height, left + width])
        box = tf.where(chance[4] < 0.5, tf.gather(box, [0, 3, 2, 1]), box)  # a box from right to left mirrors
        cropped = tf.image.crop_and_resize(image[tf.newaxis], box[tf.newaxis], [0], tf.stack([size, size]))[0]
        grey = tf.reduce_mean(cropped, axis=-1, keepdims=True)
        coloured = grey + (cropped - grey) * (0.7 + 0.6 * chance[5])
        return tf.clip_by_value(coloured * (0.75 + 0.5 * chance[6]), 0.0, 1.0)

    signature = tf.TensorSpec(images.shape[1:], tf.float32)
    return tf.map_fn(one, (images, positions), fn_output_signature=signature)


@dataclass
class Job:
    """One run: where things go, what was skipped, how long it took."""

    folders: Folders
    settings: Hyperparameters
    stop: StopSignal
    skipped: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def channel(self, name: str) -> PipeChannel:
        """Return a Pipe channel that ends when the job is stopped."""
        channel = PipeChannel(self.folders.data / name, self.settings.label_to_class)
        self.stop.on_stop(channel.stop)
        return channel

    def batches(self, dataset: Any, channel: PipeChannel) -> Iterator[Any]:
        """Iterate a dataset; an error of the channel comes out as itself, not wrapped by TensorFlow."""
        try:
            for batch in dataset:
                self.stop.check()
                yield batch
        except tf.errors.OpError as error:
            if channel.error is not None:
                raise channel.error from None
            raise error
        self.stop.check()

    def record(self, **figures: Any) -> None:
        """Add a line to ``metrics.jsonl`` and to the log, where metric definitions find it."""
        line = json.dumps({"seconds": round(time.monotonic() - self.started, 2), **figures})
        log.info("metrics %s", line)
        with (self.folders.output_data / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def skip(self, channel: PipeChannel, photos: Any, classes: Any, positions: Any, codes: Any) -> None:
        """Name the photos of a batch that could not be decoded."""
        self.skipped.setdefault(channel.name, 0)
        with (self.folders.output_data / "skipped.jsonl").open("a", encoding="utf-8") as file:
            for place in np.flatnonzero(codes != OK):
                photo = photos[place].numpy()
                self.skipped[channel.name] += 1
                entry = {
                    "channel": channel.name,
                    "epoch": channel.next_epoch - 1,
                    "position": int(positions[place]),
                    "class": self.settings.classes[int(classes[place])],
                    "reason": REASONS[int(codes[place])],
                    "bytes": len(photo),
                    "sha256": sha256(photo).hexdigest(),
                }
                log.warning("skipped a photo: %s", json.dumps(entry))
                file.write(json.dumps(entry) + "\n")

    def check_skipped(self, channel: PipeChannel, photos: int) -> None:
        """Fail the job if a channel holds too many photos that can't be decoded, or no other.

        Raises
        ------
        UndecodablePhotosError
            With the counts, the limit, and where the photos are named.
        """
        skipped = self.skipped.get(channel.name, 0)
        allowed = self.settings.max_undecodable_share
        if photos == 0:
            raise PipeError(f"channel {channel.name} holds no photo; the dataset's manifest is empty")
        if skipped == photos or skipped / photos > allowed:
            raise UndecodablePhotosError(
                f"channel {channel.name}: {skipped} of {photos} photos ({skipped / photos:.1%}) can't be decoded; "
                f"max_undecodable_share allows {allowed:.1%}. They are named, with reason and SHA-256, in "
                "skipped.jsonl of the job's output.tar.gz. Remove or mend them, or raise the share."
            )


@dataclass
class Known:
    """What the first pass over the training photos leaves behind.

    Attributes
    ----------
    photos
        How many can be decoded; of so many at most as fit in memory the rest is kept.
    """

    photos: int
    features: Any
    labels: Any
    random: Any
    histograms: Any


def first_pass(job: Job, channel: PipeChannel, model: Classifier, random_backbone: Any) -> Known:
    """Decode every training photo once; keep frozen features, and what the baselines need."""
    frozen = tf.function(model.features)
    noise = tf.function(lambda images: call_backbone(random_backbone, images))
    features: list[Any] = []
    labels: list[Any] = []
    random: list[Any] = []
    histograms: list[Any] = []
    kept = photos = usable_photos = 0
    for encoded, images, classes, positions, codes in job.batches(eval_input_fn(channel, job.settings), channel):
        good = codes.numpy() == OK
        photos += len(good)
        usable_photos += int(good.sum())
        if not good.all():
            job.skip(channel, encoded, classes.numpy(), positions.numpy(), codes.numpy())
        if kept >= FEATURES_KEPT or not good.any():
            continue
        usable = tf.boolean_mask(images, good)
        features.append(frozen(usable).numpy())
        labels.append(classes.numpy()[good])
        if kept < BASELINE_PHOTOS:
            random.append(noise(usable).numpy())
            histograms.append(colour_histogram(usable.numpy()))
        kept += int(good.sum())
    job.check_skipped(channel, photos)
    every = np.concatenate(labels)
    missing = sorted(set(range(len(job.settings.classes))) - set(every.tolist()))
    if missing and kept < FEATURES_KEPT:
        log.warning("no training photo of: %s", ", ".join(job.settings.classes[place] for place in missing))
    return Known(usable_photos, np.concatenate(features), every, np.concatenate(random), np.concatenate(histograms))


def train_head(job: Job, model: Classifier, known: Known) -> None:
    """Train the head alone on frozen features: seconds, as the backbone runs no more."""
    settings = job.settings
    model.standardise(known.features)
    optimiser = Adam(model.head_variables)
    step = tf.function(lambda features, labels, rate: _step(model, optimiser, features, labels, rate, frozen=True))
    order = np.random.default_rng(settings.seed)
    steps = max(1, settings.head_epochs * math.ceil(len(known.labels) / settings.batch_size))
    done = 0
    for epoch in range(settings.head_epochs):
        losses = []
        shuffled = order.permutation(len(known.labels))
        for start in range(0, len(shuffled), settings.batch_size):
            job.stop.check()
            at = shuffled[start : start + settings.batch_size]
            rate = tf.constant(cosine(HEAD_RATE, done, steps))
            losses.append(float(step(tf.constant(known.features[at]), tf.constant(known.labels[at]), rate)))
            done += 1
        job.record(phase="head", epoch=epoch, loss=round(float(np.mean(losses)), 4))


def fine_tune(job: Job, channel: PipeChannel, model: Classifier, photos: int) -> None:
    """Train backbone and head together, one FIFO an epoch."""
    settings = job.settings
    optimiser = Adam(model.backbone_variables + model.head_variables)
    signature = [
        tf.TensorSpec([None, settings.image_size, settings.image_size, 3], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([], tf.float32),
    ]
    step = tf.function(
        lambda images, labels, rate: _step(model, optimiser, images, labels, rate, frozen=False),
        input_signature=signature,
    )
    steps = settings.epochs * math.ceil(photos / settings.batch_size)
    warm = max(1, steps // 10)
    done = 0
    for epoch in range(settings.epochs):
        losses = []
        for images, labels in job.batches(train_input_fn(channel, settings, epoch), channel):
            if labels.shape[0] == 0:
                continue
            rate = cosine(settings.learning_rate, done, steps) * min(1.0, (done + 1) / warm)
            losses.append(float(step(images, labels, tf.constant(rate))))
            done += 1
        if not losses or not np.isfinite(losses).all():
            raise FloatingPointError(
                f"epoch {epoch}: the loss is no longer a number; a lower "
                f"learning_rate than {settings.learning_rate} may help"
            )
        job.record(phase="fine-tune", epoch=epoch, loss=round(float(np.mean(losses)), 4))


def _step(model: Classifier, optimiser: Adam, inputs: Any, labels: Any, rate: Any, *, frozen: bool) -> Any:
    """Take one step on a batch of features (frozen) or images; return the loss."""
    with tf.GradientTape() as tape:
        features = inputs if frozen else model.features(inputs)
        logits = model.logits(features)
        classes = logits.shape[-1]
        due = tf.one_hot(labels, classes) * (1.0 - LABEL_SMOOTHING) + LABEL_SMOOTHING / classes
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(due, logits))
    optimiser.apply(tape.gradient(loss, optimiser.variables), rate)
    return loss


def cosine(peak: float, step: int, steps: int) -> float:
    """Return the learning rate of a step that falls from its peak to zero (Loshchilov and Hutter 2017)."""
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, steps))))


def evaluate(job: Job, channel: PipeChannel, model: Classifier, random_backbone: Any, known: Known) -> dict[str, Any]:
    """Judge the model on every evaluation photo, beside the baselines and the champion."""
    settings = job.settings
    count = len(settings.classes)
    predict = tf.function(lambda images: model.logits(model.features(images)))
    noise = tf.function(lambda images: call_backbone(random_backbone, images))
    seen, known_random = known.labels[: len(known.histograms)], normalise(known.random)
    with tempfile.TemporaryDirectory(prefix="menulens-champion-") as scratch:
        place = job.folders.data / "champion"
        champion = Champion(place, Path(scratch)) if place.is_dir() else None
        # Of each photo what was predicted alone is kept: vectors of all of them would not fit in memory.
        truth, ours, random, colour, theirs = [], [], [], [], []
        photos = 0
        for encoded, images, classes, positions, codes in job.batches(eval_input_fn(channel, settings), channel):
            good = codes.numpy() == OK
            photos += len(good)
            if not good.all():
                job.skip(channel, encoded, classes.numpy(), positions.numpy(), codes.numpy())
            if not good.any():
                continue
            usable = tf.boolean_mask(images, good)
            truth.append(classes.numpy()[good])
            ours.append(predict(usable).numpy().argmax(axis=1))
            random.append(nearest_neighbours(known_random, seen, normalise(noise(usable).numpy()), count))
            colour.append(nearest_neighbours(known.histograms, seen, colour_histogram(usable.numpy()), count))
            if champion is not None:
                theirs.append(champion.predict(tf.boolean_mask(encoded, good), settings.classes))
    job.check_skipped(channel, photos)
    labels, predicted = np.concatenate(truth), np.concatenate(ours)
    baselines = {
        "colour_histogram": np.concatenate(colour),
        "random_weights": np.concatenate(random),
        "majority": np.full_like(labels, np.bincount(known.labels, minlength=count).argmax()),
    }
    skipped = job.skipped.get(channel.name, 0)
    result = report(labels, predicted, settings.classes, baselines, skipped=skipped, seed=settings.seed)
    if champion is not None:
        figures = compare(labels, predicted, np.concatenate(theirs), settings.seed)
        result["champion"] = {"model_version": champion.model_version, "classes": champion.classes, **figures}
    return result


def run(folders: Folders, stop: StopSignal) -> None:
    """Run the whole job."""
    folders.output_data.mkdir(parents=True, exist_ok=True)
    settings = Hyperparameters.read(folders.config)
    job = Job(folders, settings, stop)
    (folders.output_data / "skipped.jsonl").touch()
    tf.random.set_seed(settings.seed)
    model = model_fn(folders, settings)
    random_backbone = tf.saved_model.load(str(folders.data / "backbone"))
    randomise(random_backbone.variables, settings.seed)
    job.record(phase="start", backbone=model.card.name, devices=len(tf.config.list_physical_devices("GPU")))

    train = job.channel("train")
    known = first_pass(job, train, model, random_backbone)
    job.record(phase="features", photos=known.photos, skipped=job.skipped.get("train", 0))
    train_head(job, model, known)
    fine_tune(job, train, model, known.photos)

    result = evaluate(job, job.channel("eval"), model, random_backbone, known)
    job.record(
        phase="evaluation",
        **{key: result[key] for key in ("photos", "accuracy", "accuracy_ci", "balanced_accuracy")},
        colour_histogram=result["baselines"]["colour_histogram"]["balanced_accuracy"],
        random_weights=result["baselines"]["random_weights"]["balanced_accuracy"],
    )
    write_json(folders.output_data / "evaluation.json", result)
    facts = {
        "model_version": settings.model_version,
        "dataset": settings.dataset,
        "classes": settings.classes,
        "label_to_class": {str(label): place for label, place in settings.label_to_class.items()},
        "backbone": model.card.json,
        "image_size": settings.image_size,
        "vector_width": model.card.width,
        "l2_normalised": True,
    }
    stop.check()
    write_archive(model, limits_of(settings), facts, result, folders.model)
    job.record(phase="done")


def main() -> int:
    """Run the job as SageMaker starts it; return the process's exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    folders = Folders.from_environment()
    stop = StopSignal()
    try:
        run(folders, stop)
    except (StopRequestedError, PipeStoppedError) as reason:
        log.info("stopped: %s", reason)
        return STOPPED
    except Exception as error:
        expected = (PipeError, UndecodablePhotosError, BackboneError, ChampionError, HyperparameterError)
        if not isinstance(error, expected):
            traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        folders.output.mkdir(parents=True, exist_ok=True)
        # SageMaker shows the first 1024 characters of this file as the job's FailureReason.
        (folders.output / "failure").write_text(message, encoding="utf-8")
        sys.stderr.write(message + "\n")
        return 1
    return 0


def end(code: int) -> NoReturn:
    """End the process at once, without the interpreter's own end.

    A pass that was broken off leaves tf.data threads that still run the channel's generator. An interpreter that ends
    takes their turn in Python away for good, while the iterator's destructor waits for them: the job would never end.
    All files are closed by now; only what was printed has to be written out.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
