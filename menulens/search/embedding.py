"""Ask the endpoint for the vectors of photos: a few at a time, and an answer for each."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from botocore.exceptions import ClientError
from numpy.typing import NDArray

BATCH_PHOTOS = 16
# InvokeEndpoint takes 6 MB; base64 adds a third, and JSON a little.
BATCH_BYTES = 4_200_000
_MISSING = ("Could not find", "not found", "does not exist")


class EndpointMissingError(Exception):
    """There is no endpoint to ask; the message names it."""


class EndpointError(Exception):
    """The endpoint did not answer as it should; the message shows what it said."""


@dataclass(frozen=True)
class Embedded:
    """The answer for one photo: a vector (float32 [d], unit length) and a tag, or an error."""

    id: str
    model_version: str = ""
    vector: NDArray[np.float32] | None = None
    category: str | None = None
    confidence: float | None = None
    error: str = ""


def embed_photos(runtime: Any, endpoint: str, photos: Iterable[tuple[str, bytes | Exception]]) -> Iterator[Embedded]:
    """Yield one answer per photo, in order; a photo that fails has an ``error`` and stops no other.

    Parameters
    ----------
    runtime
        A boto3 ``sagemaker-runtime`` client.
    photos
        Id and bytes; an exception in place of the bytes (it could not be read) becomes that photo's error.

    Raises
    ------
    EndpointMissingError
        If the endpoint does not exist.
    EndpointError
        If it fails other than by turning photos away.
    """
    batch: list[tuple[str, bytes]] = []
    size = 0
    for name, data in photos:
        if isinstance(data, Exception) or len(data) > BATCH_BYTES:
            yield from _ask(runtime, endpoint, batch)
            batch, size = [], 0
            if isinstance(data, Exception):
                yield Embedded(name, error=str(data))
            else:
                yield Embedded(name, error=f"{len(data):,} bytes; the endpoint takes {BATCH_BYTES:,} at most")
            continue
        if batch and (len(batch) == BATCH_PHOTOS or size + len(data) > BATCH_BYTES):
            yield from _ask(runtime, endpoint, batch)
            batch, size = [], 0
        batch.append((name, data))
        size += len(data)
    yield from _ask(runtime, endpoint, batch)


def _ask(runtime: Any, endpoint: str, batch: list[tuple[str, bytes]]) -> Iterator[Embedded]:
    if not batch:
        return
    # A photo's place is its id on the wire: a file's name may be any text, and may come twice.
    instances = [
        {"id": str(place), "b64": base64.b64encode(data).decode("ascii")} for place, (_, data) in enumerate(batch)
    ]
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps({"instances": instances}).encode(),
        )
        said = json.loads(answer["Body"].read())
    except ClientError as error:
        yield from _turned_away(runtime, endpoint, batch, error)
        return
    predictions = said.get("predictions", [])
    if len(predictions) != len(batch):
        raise EndpointError(f"{endpoint} answered {len(predictions)} times for {len(batch)} photos.")
    for place, ((name, _), prediction) in enumerate(zip(batch, predictions, strict=True)):
        if "error" in prediction:
            # The caller knows the photo by its name, not by its place in this request.
            reason = str(prediction["error"]).removeprefix(f"item {place} (id '{place}'): ")
            yield Embedded(name, str(said["model_version"]), error=reason)
        else:
            vector = np.asarray(prediction["vector"], np.float32)
            category, confidence = prediction["category"], float(prediction["confidence"])
            yield Embedded(name, str(said["model_version"]), vector, category, confidence)


def _turned_away(runtime: Any, endpoint: str, batch: list[tuple[str, bytes]], error: ClientError) -> Iterator[Embedded]:
    """Give each photo of a refused batch its own error; anything else is the endpoint's failure."""
    code = error.response.get("Error", {}).get("Code", "")
    message = str(error.response.get("Error", {}).get("Message", error))
    if code in ("ValidationError", "ValidationException") and any(text in message for text in _MISSING):
        raise EndpointMissingError(f"There is no endpoint {endpoint}.") from None
    status = int(error.response.get("OriginalStatusCode", 0))
    if code != "ModelError" or not 400 <= status < 500:
        raise EndpointError(f"{endpoint} failed ({code}): {message}") from None
    if len(batch) == 1:
        said = str(error.response.get("OriginalMessage", message))
        try:
            said = str(json.loads(said)["error"])
        except (ValueError, KeyError, TypeError):
            said = said.strip()
        yield Embedded(batch[0][0], error=said)
        return
    for photo in batch:
        yield from _ask(runtime, endpoint, [photo])
