import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[3] / "training_src")]

from opt_ml import OptMl, any_pairs  # noqa: E402 (its folder is on the path only now)

from menulens.storage import Storage  # noqa: E402
from menulens.training.backbones import stage  # noqa: E402


@pytest.fixture(scope="session")
def backbone(tmp_path_factory) -> Path:
    """Inception V2 (1024-d), staged as the command stages it."""
    models = tmp_path_factory.mktemp("models")
    staged = stage("inception_v2_random", storage=Storage(), models=str(models), image_size=64)
    return Path(staged.uri)


@pytest.fixture(scope="session")
def small_backbone(tmp_path_factory) -> Path:
    """A foreign SavedModel of one layer, staged by its path: seconds less where the backbone is not the point."""
    source = tmp_path_factory.mktemp("source") / "saved_model"
    kernel = tf.Variable(np.random.default_rng(0).normal(0, 0.3, (5, 5, 3, 16)).astype(np.float32), name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def call(images):
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME")), axis=[1, 2])

    hub = tf.__internal__.tracking.AutoTrackable()
    hub.variables = hub.trainable_variables = [kernel]
    hub.__call__ = call
    tf.saved_model.save(hub, str(source))
    models = tmp_path_factory.mktemp("models")
    return Path(stage(str(source), storage=Storage(), models=str(models), name="small", image_size=64).uri)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, backbone) -> OptMl:
    """A finished job: 24 photos to train, one of them broken; 12 to evaluate."""
    job = OptMl(tmp_path_factory.mktemp("job") / "ml", backbone)
    train = any_pairs(24, seed=1)
    train[5] = (train[5][0][:200], train[5][1])
    job.feed("train", train, epochs=2)
    job.feed("eval", any_pairs(12, seed=2), epochs=1)
    code, output = job.run()
    assert code == 0, output
    return job


@pytest.fixture(scope="session")
def champion_channel(tmp_path_factory, trained) -> Path:
    """The finished job's archive as a later job's ``champion`` channel."""
    folder = tmp_path_factory.mktemp("champion")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(trained.folder / "model", arcname=".")
    return folder
