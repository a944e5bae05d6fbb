"""The smoke test: one photo to the endpoint, and every promise of its answer checked."""

from __future__ import annotations

import json
import math
import time
from typing import Any, Final

from botocore.exceptions import ClientError

from menulens.core import keys
from menulens.serving.smoke_photo import PLATE_JPEG

ATTEMPTS: Final = 5
PAUSE_SECONDS: Final = 3.0
TOLERANCE: Final = 1e-3  # a float32 vector of some thousand numbers is normalised to about 1e-6

# A new instance that is InService may still turn the first calls away.
_PASSING: Final = frozenset({"ThrottlingException", "ServiceUnavailable", "InternalFailure", "ModelNotReadyException"})


class SmokeTestError(Exception):
    """The endpoint does not answer as it should; the message says what is wrong."""


def smoke_test(runtime: Any, endpoint: str, model_version: str, *, pause: float = PAUSE_SECONDS) -> dict[str, Any]:
    """Ask the endpoint for one photo's vector, and check the answer.

    Returns
    -------
    dict
        ``category`` and ``confidence`` of the photo, ``vector_width`` and ``classes``.

    Raises
    ------
    SmokeTestError
        If the endpoint can't be called, or any part of its answer is wrong.
    """
    answer = _ask(runtime, endpoint, pause)
    faults = list(_faults(answer, model_version))
    if faults:
        raise SmokeTestError(f"{endpoint}: {' '.join(faults)}")
    prediction = answer["predictions"][0]
    return {
        "category": prediction["category"],
        "confidence": prediction["confidence"],
        "vector_width": answer["vector_width"],
        "classes": answer["classes"],
    }


def _ask(runtime: Any, endpoint: str, pause: float) -> dict[str, Any]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            body = runtime.invoke_endpoint(
                EndpointName=endpoint, ContentType="image/jpeg", Accept="application/json", Body=PLATE_JPEG
            )["Body"].read()
            break
        except ClientError as error:
            if error.response["Error"]["Code"] not in _PASSING or attempt == ATTEMPTS:
                raise SmokeTestError(f"{endpoint}: a JPEG of a plate was answered with an error: {error}") from None
            time.sleep(pause)
    try:
        answer = json.loads(body)
    except ValueError:
        raise SmokeTestError(f"{endpoint}: answered with something that is no JSON: {body[:200]!r}") from None
    if not isinstance(answer, dict):
        raise SmokeTestError(f"{endpoint}: answered with JSON that is no object: {body[:200]!r}")
    return answer


def _faults(answer: dict[str, Any], model_version: str) -> list[str]:
    missing = [
        key
        for key in (keys.MODEL_VERSION, "classes", "vector_width", "l2_normalised", "predictions")
        if key not in answer
    ]
    if missing:
        return [f"The answer lacks {', '.join(missing)}."]
    faults = []
    if answer[keys.MODEL_VERSION] != model_version:
        faults.append(f"It answers for the model {answer[keys.MODEL_VERSION]!r}; {model_version!r} was deployed.")
    classes = answer["classes"]
    if not isinstance(classes, list) or len(classes) < 2 or len(set(map(str, classes))) != len(classes):
        return [*faults, f"classes is {classes!r}; at least two names, each once, are due."]
    predictions = answer["predictions"]
    if not isinstance(predictions, list) or len(predictions) != 1 or not isinstance(predictions[0], dict):
        return [*faults, "One photo was sent; one prediction is due."]
    if "error" in predictions[0]:
        return [*faults, f"The photo was turned away: {predictions[0]['error']}"]
    return [*faults, *_prediction_faults(predictions[0], answer)]


def _prediction_faults(prediction: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    missing = [key for key in ("vector", "probabilities", "category", "confidence") if key not in prediction]
    if missing:
        return [f"The prediction lacks {', '.join(missing)}."]
    faults = []
    vector, probabilities, classes = prediction["vector"], prediction["probabilities"], answer["classes"]
    if len(vector) != answer["vector_width"] or not vector:
        faults.append(f"The vector has {len(vector)} numbers; vector_width says {answer['vector_width']}.")
    norm = math.sqrt(math.fsum(number * number for number in vector))
    # Not a number compares false with everything: the test must be on what is right.
    if answer["l2_normalised"] is not True or not abs(norm - 1) <= TOLERANCE:
        faults.append(
            f"The vector's length is {norm:.6f}, l2_normalised {answer['l2_normalised']}; 1 and true are due."
        )
    total = math.fsum(probabilities)
    if len(probabilities) != len(classes) or not abs(total - 1) <= TOLERANCE or not min(probabilities) >= 0:
        faults.append(
            f"{len(probabilities)} probabilities with the sum {total:.6f}; {len(classes)} with the sum 1 are due."
        )
    if prediction["category"] not in classes:
        faults.append(f"The category {prediction['category']!r} is none of {', '.join(map(str, classes))}.")
    return faults
