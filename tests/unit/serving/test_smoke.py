import io
import json
import math
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from menulens.serving.smoke import SmokeTestError, smoke_test
from menulens.serving.smoke_photo import PLATE_JPEG


class Endpoint:
    """An endpoint in memory: answers what it is told to, one answer after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, ClientError):
            raise answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return {"Body": io.BytesIO(body)}


def any_prediction(**changes: Any) -> dict[str, Any]:
    width = 8
    vector = [1 / math.sqrt(width)] * width
    return {
        "id": None,
        "vector": vector,
        "probabilities": [0.75, 0.25],
        "category": "meal",
        "confidence": 0.75,
    } | changes


def any_answer(prediction: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "model_version": "job-1",
        "classes": ["meal", "drink"],
        "l2_normalised": True,
        "vector_width": 8,
        "predictions": [any_prediction() if prediction is None else prediction],
        **changes,
    }


def any_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "InvokeEndpoint")


def should_ask_with_a_jpeg_that_decodes() -> None:
    with Image.open(io.BytesIO(PLATE_JPEG)) as photo:
        photo.load()
        assert (photo.format, photo.size) == ("JPEG", (96, 96))
    endpoint = Endpoint(any_answer())
    assert smoke_test(endpoint, "vectors", "job-1") == {
        "category": "meal",
        "confidence": 0.75,
        "vector_width": 8,
        "classes": ["meal", "drink"],
    }
    assert endpoint.asked[0]["ContentType"] == "image/jpeg"
    assert endpoint.asked[0]["Body"] == PLATE_JPEG


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (any_answer(model_version="job-0"), "answers for the model 'job-0'; 'job-1' was deployed"),
        (any_answer(vector_width=9), "The vector has 8 numbers; vector_width says 9"),
        (any_answer(l2_normalised=False), "l2_normalised False; 1 and true are due"),
        (any_answer(any_prediction(vector=[0.5] * 8)), "The vector's length is 1.414214"),
        (any_answer(any_prediction(vector=[math.nan] * 8)), "The vector's length is nan"),
        (any_answer(any_prediction(probabilities=[0.75, 0.5])), "2 probabilities with the sum 1.250000"),
        (any_answer(any_prediction(probabilities=[1.5, -0.5])), "2 probabilities with the sum 1.000000"),
        (any_answer(any_prediction(probabilities=[1.0])), "1 probabilities with the sum 1.000000; 2 with"),
        (any_answer(any_prediction(category="soup")), "The category 'soup' is none of meal, drink"),
        (any_answer(classes=["meal", "meal"]), "at least two names, each once"),
        (any_answer(predictions=[]), "one prediction is due"),
        (any_answer({"id": None, "error": "undecodable"}), "The photo was turned away: undecodable"),
        (any_answer({"vector": []}), "The prediction lacks probabilities, category, confidence"),
        ({"predictions": []}, "The answer lacks model_version, classes, vector_width, l2_normalised"),
        ([], "JSON that is no object"),
        (b"<html>", "no JSON"),
    ],
)
def should_say_what_is_wrong_with_an_answer(answer: Any, message: str) -> None:
    with pytest.raises(SmokeTestError) as error:
        smoke_test(Endpoint(answer), "menulens-local-vectors", "job-1")
    assert message in str(error.value)
    assert "menulens-local-vectors" in str(error.value)


def should_ask_again_while_a_new_instance_turns_calls_away() -> None:
    endpoint = Endpoint(any_error("ServiceUnavailable"), any_error("ThrottlingException"), any_answer())
    assert smoke_test(endpoint, "vectors", "job-1", pause=0)["category"] == "meal"
    assert len(endpoint.asked) == 3


def should_not_ask_again_when_the_model_itself_fails() -> None:
    endpoint = Endpoint(any_error("ModelError"), any_answer())
    with pytest.raises(SmokeTestError, match="answered with an error"):
        smoke_test(endpoint, "vectors", "job-1", pause=0)
    assert len(endpoint.asked) == 1


def should_give_up_on_an_endpoint_that_never_answers() -> None:
    with pytest.raises(SmokeTestError, match="ServiceUnavailable"):
        smoke_test(Endpoint(*[any_error("ServiceUnavailable")] * 5), "vectors", "job-1", pause=0)
