"""Request handler of the TensorFlow Serving container: photos in; vectors, categories and probabilities out.

Runs beside TensorFlow Serving with the standard library and ``requests`` alone. In short:

- ``image/jpeg``, ``image/png``: one photo, one object.
- ``application/json``: ``{"instances": [{"id"?, "b64"}, …]}`` or ``{"b64"}``; bad photos of a batch are told per item.
- ``application/jsonlines``: one ``{"id", "b64"}`` a line, answered line for line (Batch Transform).
- ``Accept: application/x-npy``: float32 [n, d]; an array can't tell of errors, so any bad photo fails the request.
"""

import base64
import binascii
import json
import math
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

_CODE = Path(__file__).resolve().parent
MODEL: dict[str, Any] = json.loads((_CODE / "model.json").read_text(encoding="utf-8"))
IMAGE_TYPES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
JSON, JSON_LINES, NPY = "application/json", "application/jsonlines", "application/x-npy"
ANSWERS = (JSON, JSON_LINES, NPY)
# Photos asked of TensorFlow Serving at a time: bounds its memory whatever a client sends.
PHOTOS_PER_CALL = 32
TIMEOUT_SECONDS = 55  # SageMaker gives up after 60
STATUS = {
    400: "400 Bad Request",
    406: "406 Not Acceptable",
    413: "413 Payload Too Large",
    415: "415 Unsupported Media Type",
    503: "503 Service Unavailable",
}
_SESSION = requests.Session()

Item = tuple[Any, bytes | None, str | None]  # id, photo, what is wrong with it


class RequestError(Exception):
    """A request that can't be answered; carries the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def handler(data: Any, context: Any) -> tuple[bytes, str]:
    """Answer one request.

    Parameters
    ----------
    data
        Stream of the request's body.
    context
        The container's description of the request.

    Returns
    -------
    tuple of bytes and str
        Body and content type.
    """
    try:
        kind = (context.request_content_type or JSON).split(";")[0].strip().lower()
        answer = _answer_type(context.accept_header, kind)
        body = data.read()
        items, single = _parse(body, kind)
        return _answer(items, single, answer, context.rest_uri)
    except RequestError as error:
        if not _set_status(error.status):
            raise  # the container answers 500, still with the message
        return _dumped({"error": str(error)}), JSON


def _set_status(status: int) -> bool:
    """Set the response's HTTP status; tell whether that was possible.

    The container's contract has no way to answer 4xx: it takes (body, content type), sets 200, and makes every
    exception a 500. But the function that called us holds falcon's response in its local ``res``, whose status stays
    what we make it.
    """
    frame: Any = sys._getframe(2)
    for _ in range(3):
        if frame is None:
            break
        response = frame.f_locals.get("res")
        if hasattr(response, "status") and hasattr(response, "content_type"):
            response.status = STATUS[status]
            return True
        frame = frame.f_back
    return False


def _answer_type(accept: str | None, kind: str) -> str:
    """Choose among what the client accepts; Batch Transform sends lines and no Accept of its own."""
    default = JSON_LINES if kind == JSON_LINES else JSON
    wanted = [part.split(";")[0].strip().lower() for part in (accept or "*/*").split(",") if part.strip()]
    for part in wanted:
        if part in ANSWERS:
            return JSON_LINES if part == JSON and kind == JSON_LINES else part
        if part in ("*/*", "application/*"):
            return default
    raise RequestError(406, f"Accept is {accept!r}; allowed: {', '.join(ANSWERS)}, */*")


def _parse(body: bytes, kind: str) -> tuple[list[Item], bool]:
    """Return ([(id, photo bytes or None, error or None)], whether it is one photo alone)."""
    if kind in IMAGE_TYPES:
        if not body:
            raise RequestError(400, "the photo: the request's body is empty")
        if not body.startswith(IMAGE_TYPES[kind]):
            raise RequestError(415, f"the photo: Content-Type says {kind}, but the bytes are none")
        return [(None, body, None)], True
    if kind == JSON:
        value = _load(body, "the request's body")
        if isinstance(value, dict) and "instances" in value:
            instances = value["instances"]
            if not isinstance(instances, list) or not instances:
                raise RequestError(400, 'instances must be a list with at least one {"b64": …}')
            return [_item(instance, place) for place, instance in enumerate(instances)], False
        if isinstance(value, dict) and "b64" in value:
            return [_item(value, 0)], True
        raise RequestError(400, 'the request\'s body must be {"instances": [{"b64": …}, …]} or {"b64": …}')
    if kind == JSON_LINES:
        lines = body.split(b"\n")
        if lines and not lines[-1].strip():
            lines.pop()
        if not lines:
            raise RequestError(400, "the request's body has no line")
        return [_line(line, place) for place, line in enumerate(lines)], False
    allowed = ", ".join([*IMAGE_TYPES, JSON, JSON_LINES])
    raise RequestError(415, f"Content-Type is {kind!r}; allowed: {allowed}")


def _load(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{what} is no JSON: {error}") from None


def _line(line: bytes, place: int) -> Item:
    try:
        return _item(_load(line, "the line"), place)
    except RequestError as error:
        return None, None, f"item {place}: {error}"


def _item(value: Any, place: int) -> Item:
    if not isinstance(value, dict):
        return None, None, f"item {place}: must be an object with b64"
    name = value.get("id")
    if not (name is None or isinstance(name, (str, int)) or (isinstance(name, float) and math.isfinite(name))):
        return None, None, f"item {place}: id must be a text or a number"
    label = f"item {place}" + (f" (id {name!r})" if name is not None else "")
    text = value.get("b64")
    if not isinstance(text, str):
        return name, None, f"{label}: b64 is missing or no text"
    try:
        photo = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return name, None, f"{label}: b64 is no base64"
    if not photo:
        return name, None, f"{label}: the photo is empty"
    return name, photo, None


def _answer(items: list[Item], single: bool, answer: str, uri: str) -> tuple[bytes, str]:
    predictions = _predict(items, uri)
    bad = [item for item in predictions if "error" in item]
    if bad and (single or answer == NPY):
        status = bad[0]["status"] if len(bad) == 1 else 400
        raise RequestError(status, "; ".join(item["error"] for item in bad[:10]))
    if answer != JSON_LINES and len(bad) == len(predictions):
        raise RequestError(400, "no photo of the request is usable: " + "; ".join(item["error"] for item in bad[:10]))
    for item in bad:
        del item["status"]
    if answer == NPY:
        return _npy([item["vector"] for item in predictions]), NPY
    if answer == JSON_LINES:
        return b"".join(_dumped(_packed(item)) + b"\n" for item in predictions), JSON_LINES
    told = {
        "model_version": MODEL["model_version"],
        "classes": MODEL["classes"],
        "l2_normalised": MODEL["l2_normalised"],
        "vector_width": MODEL["vector_width"],
        "predictions": predictions,
    }
    return _dumped(told), JSON


def _dumped(value: dict[str, Any]) -> bytes:
    """Return a value as JSON in UTF-8; half a character, which an id may hold, is escaped as it came."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _predict(items: list[Item], uri: str) -> list[dict[str, Any]]:
    """Return one answer per item, in order: a prediction, or an error with the status it would have alone."""
    limit = MODEL["limits"]["max_bytes"]
    answers: dict[int, dict[str, Any]] = {}
    good: list[tuple[int, bytes]] = []
    for place, (name, photo, error) in enumerate(items):
        if error is not None or photo is None:
            answers[place] = {"id": name, "error": error, "status": 400}
        elif len(photo) > limit:
            message = f"{_label(place, name)}: {len(photo):,} bytes; at most {limit:,} are allowed"
            answers[place] = {"id": name, "error": message, "status": 413}
        elif not photo.startswith(tuple(IMAGE_TYPES.values())):
            answers[place] = {"id": name, "error": f"{_label(place, name)}: neither JPEG nor PNG", "status": 415}
        else:
            good.append((place, photo))
    for start in range(0, len(good), PHOTOS_PER_CALL):
        chunk = good[start : start + PHOTOS_PER_CALL]
        outputs = _call([photo for _, photo in chunk], uri)
        for (place, _), output in zip(chunk, outputs, strict=True):
            answers[place] = _told(place, items[place][0], output)
    return [answers[place] for place in range(len(items))]


def _call(photos: list[bytes], uri: str) -> list[dict[str, Any]]:
    instances = [{"b64": base64.b64encode(photo).decode("ascii")} for photo in photos]
    body = json.dumps({"signature_name": "serving_default", "instances": instances})
    try:
        response = _SESSION.post(uri, data=body, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise RequestError(503, f"the model server does not answer: {error}") from error
    if response.status_code != 200:
        raise RequestError(503, f"the model server answered {response.status_code}: {response.text[:500]}")
    predictions: list[dict[str, Any]] = response.json()["predictions"]
    return predictions


def _label(place: int, name: Any) -> str:
    return f"item {place}" + (f" (id {name!r})" if name is not None else "")


def _told(place: int, name: Any, output: dict[str, Any]) -> dict[str, Any]:
    if not output["decoded"]:
        reason = MODEL["reasons"][int(output["reason"])]
        status = {"too many bytes": 413, "too many pixels": 413, "neither JPEG nor PNG": 415}.get(reason, 400)
        if reason == "too many pixels":
            reason += f"; at most {MODEL['limits']['max_pixels']:,} are decoded"
        return {"id": name, "error": f"{_label(place, name)}: {reason}", "status": status}
    probabilities = output["probabilities"]
    confidence = max(probabilities)
    return {
        "id": name,
        "vector": output["vector"],
        "probabilities": probabilities,
        "category": MODEL["classes"][probabilities.index(confidence)],
        "confidence": confidence,
    }


def _floats(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _packed(item: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as a line of Batch Transform: vectors in base64 take a third of their JSON."""
    if "error" in item:
        return item
    return {
        "id": item["id"],
        "vector_b64": base64.b64encode(_floats(item["vector"])).decode("ascii"),
        "probabilities_b64": base64.b64encode(_floats(item["probabilities"])).decode("ascii"),
        "category": item["category"],
        "confidence": item["confidence"],
        "model_version": MODEL["model_version"],
    }


def _npy(vectors: list[list[float]]) -> bytes:
    """Return float32 [n, d] in NumPy's file format, version 1.0."""
    shape = (len(vectors), len(vectors[0]))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    padded = header + " " * (-(10 + len(header) + 1) % 64) + "\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("latin-1")
    return start + b"".join(map(_floats, vectors))
