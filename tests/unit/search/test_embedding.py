"""Asking the endpoint: an answer for every photo, in order, whatever happens to one of them."""

from __future__ import annotations

import base64
import io
import json

import boto3
import numpy as np
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from menulens.search.embedding import BATCH_BYTES, BATCH_PHOTOS, EndpointError, EndpointMissingError, embed_photos


@pytest.fixture
def runtime():
    client = boto3.client(
        "sagemaker-runtime", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def any_answer(*predictions: dict) -> dict:
    body = json.dumps({"model_version": "m-1", "predictions": list(predictions)}).encode()
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentType": "application/json"}


def any_prediction(place: int) -> dict:
    return {"id": str(place), "vector": [0.6, 0.8], "category": "meal", "confidence": 0.9}


def expected(*photos: bytes) -> dict:
    instances = [{"id": str(i), "b64": base64.b64encode(photo).decode()} for i, photo in enumerate(photos)]
    return {
        "EndpointName": "e", "ContentType": "application/json", "Accept": "application/json",
        "Body": json.dumps({"instances": instances}).encode(),
    }  # fmt: skip


def should_answer_in_order_with_vectors_and_tags(runtime):
    client, stub = runtime
    stub.add_response("invoke_endpoint", any_answer(any_prediction(0), any_prediction(1)), expected(b"a", b"b"))

    answers = list(embed_photos(client, "e", [("x.jpg", b"a"), ("x.jpg", b"b")]))

    assert [(one.id, one.category, one.model_version) for one in answers] == [("x.jpg", "meal", "m-1")] * 2
    np.testing.assert_allclose(answers[0].vector, [0.6, 0.8])


def should_keep_the_good_ones_beside_a_bad_one_and_name_no_place(runtime):
    client, stub = runtime
    bad = {"id": "1", "error": "item 1 (id '1'): neither JPEG nor PNG"}
    stub.add_response("invoke_endpoint", any_answer(any_prediction(0), bad), expected(b"a", b"b"))

    good, other = embed_photos(client, "e", [("a", b"a"), ("b", b"b")])

    assert (good.error, other.error, other.vector) == ("", "neither JPEG nor PNG", None)


def should_not_send_what_could_not_be_read_or_is_too_large(runtime):
    client, stub = runtime
    stub.add_response("invoke_endpoint", any_answer(any_prediction(0)), expected(b"a"))

    photos = [("gone", OSError("no such file")), ("a", b"a"), ("big", bytes(BATCH_BYTES + 1))]
    answers = list(embed_photos(client, "e", photos))

    assert [one.id for one in answers] == ["gone", "a", "big"]
    assert answers[0].error == "no such file"
    assert "takes 4,200,000 at most" in answers[2].error


def should_cut_batches_by_number(runtime):
    client, stub = runtime
    stub.add_response("invoke_endpoint", any_answer(*map(any_prediction, range(BATCH_PHOTOS))))
    stub.add_response("invoke_endpoint", any_answer(any_prediction(0)))

    assert len(list(embed_photos(client, "e", [(str(i), b"x") for i in range(BATCH_PHOTOS + 1)]))) == BATCH_PHOTOS + 1


def should_ask_one_by_one_when_all_are_refused(runtime):
    client, stub = runtime
    stub.add_client_error("invoke_endpoint", "ModelError", "all bad", modeled_fields=refusal(400, "all bad"))
    for name in ("a", "b"):
        said = json.dumps({"error": f"{name} is empty"})
        stub.add_client_error("invoke_endpoint", "ModelError", said, modeled_fields=refusal(400, said))

    assert [one.error for one in embed_photos(client, "e", [("a", b"a"), ("b", b"b")])] == ["a is empty", "b is empty"]


def should_tell_a_missing_endpoint_from_one_that_fails(runtime):
    client, stub = runtime
    stub.add_client_error("invoke_endpoint", "ValidationError", "Endpoint e of account 0 not found.")
    with pytest.raises(EndpointMissingError, match="no endpoint e"):
        list(embed_photos(client, "e", [("a", b"a")]))
    stub.add_client_error("invoke_endpoint", "ModelError", "boom", modeled_fields=refusal(500, "boom"))
    with pytest.raises(EndpointError, match="boom"):
        list(embed_photos(client, "e", [("a", b"a")]))


def should_not_guess_which_answer_is_whose(runtime):
    client, stub = runtime
    stub.add_response("invoke_endpoint", any_answer(any_prediction(0)))

    with pytest.raises(EndpointError, match="answered 1 times for 2 photos"):
        list(embed_photos(client, "e", [("a", b"a"), ("b", b"b")]))


def refusal(status: int, message: str) -> dict:
    return {"OriginalStatusCode": status, "OriginalMessage": message, "LogStreamArn": "arn:aws:logs:x"}
