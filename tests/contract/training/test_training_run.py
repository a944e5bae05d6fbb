"""Whole training jobs, as SageMaker runs them, on the 1024-d Inception V2."""

import json

import numpy as np
import pytest
import tensorflow as tf
from opt_ml import CLASSES, OptMl, any_pairs, any_photo


def should_write_the_archive_that_serving_expects(trained):
    model = trained.folder / "model"
    assert sorted(path.name for path in model.iterdir()) == ["1", "code"]
    assert sorted(path.name for path in (model / "code").iterdir()) == [
        "evaluation.json",
        "inference.py",
        "model.json",
    ]
    told = trained.json("model/code/model.json")
    assert told["classes"] == CLASSES
    assert told["label_to_class"] == {"0": 0, "1": 1, "3": 2}
    assert (told["vector_width"], told["image_size"], told["l2_normalised"]) == (1024, 64, True)
    assert told["backbone"]["name"] == "inception_v2_random"
    assert len(told["backbone"]["sha256"]) == 64


def should_report_figures_with_intervals_and_baselines(trained):
    told = trained.json("output/data/evaluation.json")
    assert told == trained.json("model/code/evaluation.json")
    assert told["photos"] == 12
    assert np.array(told["confusion"]).sum() == 12
    assert told["accuracy_ci"][0] <= told["accuracy"] <= told["accuracy_ci"][1]
    assert set(told["baselines"]) == {"colour_histogram", "random_weights", "majority"}
    assert told["baselines"]["majority"]["balanced_accuracy"] == pytest.approx(1 / 3, abs=1e-3)
    assert told["champion"] is None


def should_name_the_photo_that_was_skipped(trained):
    (skipped,) = trained.lines("output/data/skipped.jsonl")
    assert (skipped["channel"], skipped["position"], skipped["reason"]) == ("train", 5, "can't be decoded")
    assert skipped["bytes"] == 200


def should_export_weights_that_fine_tuning_changed(saved_model, backbone):
    before, after = tf.saved_model.load(str(backbone)), saved_model
    tuned = {variable.name: variable for variable in after.classifier.backbone.trainable_variables}
    assert len(tuned) == len({variable.name for variable in before.trainable_variables})
    pairs = list(zip(before.trainable_variables, after.classifier.backbone.trainable_variables, strict=True))
    changed = [not np.array_equal(old.numpy(), new.numpy()) for old, new in pairs]
    assert len(pairs) == 208
    assert all(changed)


def should_not_let_one_bad_photo_fail_a_batch(saved_model):
    serve = saved_model.signatures["serving_default"]
    good = any_photo(1, 0)
    huge = any_photo(2, 1, size=(1500, 1500))
    batch = [good, b"", good[:150], b"GIF89a" + b"x" * 50, huge, any_photo(3, 2, "PNG")]
    told = {name: tensor.numpy() for name, tensor in serve(photo=tf.constant(batch)).items()}
    assert told["decoded"].tolist() == [True, False, False, False, False, True]
    assert told["reason"].tolist() == [0, 1, 5, 3, 4, 0]
    assert told["vector"].shape == (6, 1024)
    assert np.linalg.norm(told["vector"], axis=1) == pytest.approx([1, 0, 0, 0, 0, 1], abs=1e-5)
    assert told["probabilities"].sum(axis=1) == pytest.approx([1, 0, 0, 0, 0, 1], abs=1e-5)


def should_give_a_photo_the_same_vector_alone_and_in_a_batch(saved_model):
    serve = saved_model.signatures["serving_default"]
    photos = [any_photo(step, step % 3) for step in range(5)]
    together = serve(photo=tf.constant(photos))["vector"].numpy()
    alone = np.concatenate([serve(photo=tf.constant([photo]))["vector"].numpy() for photo in photos])
    assert together == pytest.approx(alone, abs=1e-4)


def should_compare_with_the_champion_on_the_same_photos(tmp_path, small_backbone, champion_channel):
    job = OptMl(tmp_path / "ml", small_backbone, model_version="job-2")
    (job.folder / "input/data/champion").symlink_to(champion_channel)
    job.feed("train", any_pairs(24, seed=1), epochs=2)
    job.feed("eval", any_pairs(12, seed=2), epochs=1)
    code, output = job.run()
    assert code == 0, output
    champion = job.json("output/data/evaluation.json")["champion"]
    assert (champion["model_version"], champion["classes"]) == ("job-1", CLASSES)
    low, high = champion["difference_ci"]
    assert low <= champion["difference"] <= high


def should_fail_above_the_share_of_photos_that_can_not_be_decoded(ended):
    job, code = ended("undecodable").job, ended("undecodable").code
    assert code == 1
    assert "4 of 16 photos (25.0%) can't be decoded; max_undecodable_share allows 10.0%" in job.failure
    assert len(job.lines("output/data/skipped.jsonl")) == 4
    assert list((job.folder / "model").iterdir()) == []


def should_say_that_a_record_was_cut(ended):
    told = ended("cut")
    assert told.code == 1
    assert told.job.failure.startswith("PipeError: ")
    assert "train_0: the stream ended inside record 13" in told.job.failure


def should_refuse_a_backbone_that_was_changed(ended, small_backbone):
    told = ended("changed_backbone")
    card = json.loads((small_backbone / "backbone.json").read_text())
    assert told.code == 1
    assert f"the card says {card['sha256']}" in told.job.failure


def should_stop_soon_and_leave_no_model_when_told_to(ended):
    told = ended("stopped")
    assert told.code == 143, told.output
    assert told.seconds_to_stop < 20
    assert list((told.job.folder / "model").iterdir()) == []
    assert not (told.job.folder / "output/failure").exists()
