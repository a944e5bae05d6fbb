"""A finished training job's model: weighed at the gate, and described for the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from menulens.core import keys
from menulens.storage import ObjectMissingError, Storage
from menulens.training import registry
from menulens.training.gate import EvaluationError, judge, read_evaluation

MODEL_ARCHIVE: Final = "model.tar.gz"
OUTPUT_ARCHIVE: Final = "output.tar.gz"


def weigh(
    training_job: str, dataset: str, *, gate: Mapping[str, Any], group: str, storage: Storage, sagemaker: Any
) -> dict[str, Any]:
    """Return the gate's verdict on a training job, and what registering its model needs.

    Returns
    -------
    dict
        ``passed``, ``reason``, ``accuracy``, ``model_package`` (the job's package if it has one already, else empty),
        ``model_data_url``, ``description`` and ``metadata``.

    Raises
    ------
    EvaluationError
        If the job left no readable evaluation.
    """
    told = sagemaker.describe_training_job(TrainingJobName=training_job)
    model = told["ModelArtifacts"]["S3ModelArtifacts"]
    archive = model.removesuffix(MODEL_ARCHIVE) + OUTPUT_ARCHIVE
    try:
        with storage.open(archive) as stream:
            evaluation = read_evaluation(stream, archive)
    except ObjectMissingError:
        raise EvaluationError(f"{archive}: missing. Training writes it from /opt/ml/output/data.") from None
    verdict = judge(evaluation, gate)
    package = registry.package_of(sagemaker, group, training_job) if verdict.passed else None
    accuracy = f"{evaluation['accuracy']:.4f}"
    return {
        keys.PASSED: verdict.passed,
        keys.REASON: verdict.reason,
        "accuracy": accuracy,
        keys.MODEL_PACKAGE: package or "",
        "model_data_url": model,
        "description": registry.description(training_job),
        "metadata": {
            registry.TRAINING_JOB_KEY: training_job,
            registry.DATASET_KEY: dataset,
            "accuracy": accuracy,
            "photos": str(evaluation["photos"]),
        },
    }
