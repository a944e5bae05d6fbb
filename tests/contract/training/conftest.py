import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass
class Ended:
    """A job that was run, and what became of it."""

    job: OptMl
    code: int
    output: str
    seconds_to_stop: float = 0.0


def _undecodable(folder: Path, backbone: Path) -> Ended:
    job = OptMl(folder, backbone, max_undecodable_share=0.1)
    broken = [(photo[:100], label) for photo, label in any_pairs(4, seed=3)]
    job.feed("train", any_pairs(12, seed=1) + broken, epochs=1)
    return Ended(job, *job.run())


def _cut(folder: Path, backbone: Path) -> Ended:
    job = OptMl(folder, backbone)
    job.feed("train", any_pairs(6, seed=1), epochs=1, tail=b"\x0a\x23\xd7\xce\xff\x00\x00\x00cut")
    return Ended(job, *job.run())


def _changed_backbone(folder: Path, backbone: Path) -> Ended:
    copy = folder.with_name("backbone")
    shutil.copytree(backbone, copy)
    (copy / "fingerprint.pb").write_bytes(b"changed")
    job = OptMl(folder, copy)
    return Ended(job, *job.run())


def _stopped(folder: Path, backbone: Path) -> Ended:
    job = OptMl(folder, backbone, epochs=1000)
    job.feed("train", any_pairs(24, seed=1), epochs=2)  # then the feeder is silent, as a stalled one is
    return Ended(job, *job.run_and_stop(after='"phase": "fine-tune", "epoch": 0'))


@pytest.fixture(scope="session")
def ended(tmp_path_factory, small_backbone) -> Iterator[Callable[[str], Ended]]:
    """Jobs that come to a bad end, run one after the other beside all else: each starts TensorFlow on one core."""
    with ThreadPoolExecutor(1) as pool:
        running = {
            run.__name__.strip("_"): pool.submit(run, tmp_path_factory.mktemp(run.__name__) / "ml", small_backbone)
            for run in (_undecodable, _cut, _changed_backbone, _stopped)
        }
        yield lambda name: running[name].result()


@pytest.fixture(scope="session")
def trained(tmp_path_factory, backbone, ended) -> OptMl:
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
def saved_model(trained):
    """What the job exported, loaded once in the TensorFlow that trained it."""
    return tf.saved_model.load(str(trained.folder / "model/1"))


@pytest.fixture(scope="session")
def champion_channel(tmp_path_factory, trained) -> Path:
    """The finished job's archive as a later job's ``champion`` channel."""
    folder = tmp_path_factory.mktemp("champion")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(trained.folder / "model", arcname=".")
    return folder
