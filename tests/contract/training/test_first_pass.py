"""The first pass over the training photos: what it keeps, and what it tells the passes after it."""

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
import train

PHOTOS, BATCH, KEPT = 14, 4, 6


class AnyJob:
    """A channel of tiny photos, the last of which can't be decoded."""

    settings = SimpleNamespace(classes=["meal", "drink"])

    def batches(self, _dataset, _channel):
        for start in range(0, PHOTOS, BATCH):
            places = range(start, min(PHOTOS, start + BATCH))
            codes = tf.constant([int(place == PHOTOS - 1) for place in places])
            images = tf.zeros([len(places), 8, 8, 3])
            labels = tf.constant([place % 2 for place in places])
            yield tf.constant([b"any"] * len(places)), images, labels, tf.constant(list(places)), codes

    def skip(self, *_):
        pass

    def check_skipped(self, _channel, photos):
        self.seen = photos


def should_count_every_usable_photo_though_it_keeps_features_of_some(monkeypatch):
    monkeypatch.setattr(train, "FEATURES_KEPT", KEPT)
    monkeypatch.setattr(train, "eval_input_fn", lambda *_: None)
    monkeypatch.setattr(train, "call_backbone", lambda _backbone, images: images[:, 0, 0])
    job = AnyJob()

    known = train.first_pass(
        job, SimpleNamespace(name="train"), SimpleNamespace(features=lambda one: one[:, 0, 0]), None
    )

    assert (job.seen, known.photos) == (PHOTOS, PHOTOS - 1)  # epochs are as long as this: the learning rate falls by it
    assert KEPT <= len(known.features) == len(known.labels) < KEPT + BATCH
    np.testing.assert_array_equal(known.labels, np.arange(len(known.labels)) % 2)
