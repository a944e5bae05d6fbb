"""A SavedModel behind TensorFlow Serving's REST interface, with concurrent requests put together into one batch."""

from __future__ import annotations

import base64
import binascii
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAX_BATCH = 32
BATCH_WAIT_SECONDS = 0.002

Columns = dict[str, list[Any]]


class PredictError(Exception):
    """A predict request that TensorFlow Serving answers with 4xx; carries the status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Waiting:
    values: list[Any]
    future: Future[Columns]


class ServedModel:
    """One loaded version, its one string input fed in batches by a thread of its own.

    Parameters
    ----------
    model_dir
        The unpacked model archive; holds ``<version>/saved_model.pb``.
    threads
        CPU threads that TensorFlow may use; None leaves the choice to it.
    """

    name = "model"  # the container names a model after its folder, /opt/ml/model

    def __init__(self, model_dir: Path, threads: int | None = None) -> None:
        import tensorflow as tf  # noqa: PLC0415 (--help is to come fast)

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        versions = [int(path.parent.name) for path in model_dir.glob("*/saved_model.pb") if path.parent.name.isdigit()]
        if not versions:
            raise FileNotFoundError(f"{model_dir}: no <version>/saved_model.pb; is this an unpacked model.tar.gz?")
        self.version = max(versions)
        self._tf = tf
        self._model = tf.saved_model.load(str(model_dir / str(self.version)))
        self._signature = self._model.signatures["serving_default"]
        (self.input_name,) = self._signature.structured_input_signature[1]
        self.batches = 0
        self.photos = 0
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="batching", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the batching thread once it has answered what waits."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def status(self) -> dict[str, Any]:
        """Return what ``GET /v1/models/<name>`` answers."""
        state = {
            "state": "AVAILABLE",
            "version": str(self.version),
            "status": {"error_code": "OK", "error_message": ""},
        }
        return {"model_version_status": [state]}

    def values_of(self, request: Mapping[str, Any]) -> list[bytes]:
        """Return the input values of a predict request in row (``instances``) or columnar (``inputs``) format.

        Raises
        ------
        PredictError
            If the request is not what the signature takes.
        """
        if request.get("signature_name", "serving_default") != "serving_default":
            raise PredictError(400, f'Serving signature name: "{request["signature_name"]}" not found in signature def')
        if ("instances" in request) == ("inputs" in request):
            raise PredictError(400, "Exactly one of 'instances' and 'inputs' is due")
        given = request["instances"] if "instances" in request else request["inputs"]
        if isinstance(given, dict) and "inputs" in request and self.input_name in given:
            given = given[self.input_name]
        if not isinstance(given, list) or not given:
            raise PredictError(400, f"a non-empty list of values for {self.input_name!r} is due")
        return [self._value(one) for one in given]

    def _value(self, value: Any) -> bytes:
        if isinstance(value, dict) and set(value) == {self.input_name}:
            value = value[self.input_name]
        if isinstance(value, dict) and set(value) == {"b64"}:
            try:
                return base64.b64decode(value["b64"], validate=True)
            except (binascii.Error, ValueError, TypeError):
                raise PredictError(400, "Unable to base64 decode") from None
        if isinstance(value, str):
            return value.encode("utf-8")
        raise PredictError(400, f'JSON Value: {str(value)[:80]} is not a string or {{"b64": …}}')

    @staticmethod
    def answer_of(request: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
        """Return the answer to a predict request, in the format in which it asked."""
        if "inputs" in request:
            return {"outputs": columns}
        names = list(columns)
        return {"predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]}

    def submit(self, values: list[bytes]) -> Future[Columns]:
        """Queue values for the next batch; the future gives each output as one list, in their order."""
        future: Future[Columns] = Future()
        self._queue.put(_Waiting(values, future))
        return future

    def _work(self) -> None:
        waiting = self._queue.get()
        while waiting is not None:
            batch, waiting = self._gather(waiting)
            self._run(batch)
            if waiting is None:
                waiting = self._queue.get()
            elif not waiting.values:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], _Waiting | None]:
        """Take what waits, up to a full batch, and wait a moment for more; return it and what did not fit."""
        batch, size = [first], len(first.values)
        end = time.monotonic() + BATCH_WAIT_SECONDS
        while size < MAX_BATCH:
            try:
                more = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return batch, None
            if more is None:
                return batch, _Waiting([], Future())
            if size + len(more.values) > MAX_BATCH:
                return batch, more
            batch.append(more)
            size += len(more.values)
        return batch, None

    def _run(self, batch: list[_Waiting]) -> None:
        values = [value for waiting in batch for value in waiting.values]
        try:
            outputs = self._signature(**{self.input_name: self._tf.constant(values, dtype=self._tf.string)})
            columns = {name: np.asarray(tensor.numpy()) for name, tensor in outputs.items()}
        except Exception as error:  # each request gets the error; the thread goes on
            for waiting in batch:
                waiting.future.set_exception(error)
            return
        self.batches += 1
        self.photos += len(values)
        start = 0
        for waiting in batch:
            stop = start + len(waiting.values)
            waiting.future.set_result({name: column[start:stop].tolist() for name, column in columns.items()})
            start = stop
