"""The pass over the evaluation photos: the same figures whatever the batches; memory does not grow with them."""

import tracemalloc
from types import SimpleNamespace

import evaluation
import numpy as np
import tensorflow as tf
import train

CLASSES = ["meal", "drink", "menu"]


class AnyJob:
    """A channel of tiny photos of one colour each, every tenth of which can't be decoded."""

    settings = SimpleNamespace(classes=CLASSES, seed=1)

    def __init__(self, folder, photos, batch):
        self.folders = SimpleNamespace(data=folder)
        self.skipped = {}
        self._photos, self._batch = photos, batch

    def batches(self, _dataset, _channel):
        images, classes = any_photos(self._photos, seed=2)
        for start in range(0, self._photos, self._batch):
            part = slice(start, start + self._batch)
            places = tf.range(self._photos, dtype=tf.int64)[part]
            codes = tf.cast(places % 10 == 9, tf.int32)
            yield tf.fill(places.shape, b"any"), images[part], classes[part], places, codes

    def skip(self, channel, _photos, _classes, _positions, codes):
        self.skipped[channel.name] = self.skipped.get(channel.name, 0) + int(np.count_nonzero(codes))

    def check_skipped(self, _channel, photos):
        self.seen = photos


def any_photos(count, seed):
    """Return images float32 [n, 4, 4, 3] whose colour tells of their class, more or less, and classes int32 [n]."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, len(CLASSES), count).astype(np.int32)
    colours = np.clip(np.eye(3)[classes] * 0.5 + draw.random((count, 3)) * 0.6, 0, 1)
    return tf.constant(np.tile(colours[:, None, None, :], (1, 4, 4, 1)).astype(np.float32)), tf.constant(classes)


def evaluated(monkeypatch, folder, *, photos, batch, width):
    """Evaluate with features of so many numbers, and return the report and the photos that were seen."""
    directions = tf.constant(np.random.default_rng(3).normal(size=(3, width)).astype(np.float32))
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)
    monkeypatch.setattr(train, "eval_input_fn", lambda *_: None)
    monkeypatch.setattr(train, "call_backbone", lambda _backbone, images: images[:, 0, 0] @ directions)
    images, classes = any_photos(20, seed=4)
    known = train.Known(
        photos=20,
        features=None,
        labels=classes.numpy(),
        random=(images[:, 0, 0] @ directions).numpy(),
        histograms=train.colour_histogram(images.numpy()),
    )
    job = AnyJob(folder, photos, batch)
    model = SimpleNamespace(features=lambda images: images[:, 0, 0], logits=lambda features: features)
    return train.evaluate(job, SimpleNamespace(name="eval"), model, None, known), job.seen


def should_report_the_same_figures_whatever_the_batches(monkeypatch, tmp_path):
    report, seen = evaluated(monkeypatch, tmp_path, photos=120, batch=120, width=8)

    assert (seen, report["photos"], report["skipped"]) == (120, 108, 12)
    assert report["accuracy"] > report["baselines"]["majority"]["accuracy"]
    assert report["baselines"]["colour_histogram"] != report["baselines"]["random_weights"]
    for batch in (1, 7):
        assert evaluated(monkeypatch, tmp_path, photos=120, batch=batch, width=8) == (report, seen)


def should_keep_nothing_of_a_photo_but_what_was_predicted(monkeypatch, tmp_path):
    photos, width = 300, 10_000
    tracemalloc.start()
    report, _ = evaluated(monkeypatch, tmp_path, photos=photos, batch=10, width=width)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert report["photos"] == 270
    assert peak < photos * width * 4 / 2  # those of the few known, not of all that were judged
