"""Serves an unpacked model archive as SageMaker's TensorFlow Serving container does, on one machine.

    python -m menulens.local.serving --model-dir DIR --port N [--threads K]

One loopback port answers ``/ping`` and ``/invocations`` (through the archive's own ``inference.py``) and TensorFlow
Serving's REST interface under ``/v1/models``. Imports only what the serving environment has.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from menulens.local.serving_host import InferenceHost
from menulens.local.serving_model import PredictError, ServedModel

log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
# SageMaker takes no larger body: 25 MB for a real-time endpoint, 100 MB for a record of Batch Transform.
MAX_BODY = 100 * 1024 * 1024


def application(model: ServedModel, host: InferenceHost) -> Starlette:
    """Return the ASGI application in front of a model and its inference code."""

    async def ping(_: Request) -> Response:
        return Response(status_code=200)

    async def invocations(request: Request) -> Response:
        if int(request.headers.get("content-length") or 0) > MAX_BODY:
            return JSONResponse({"error": f"the request's body is over {MAX_BODY:,} bytes"}, status_code=413)
        body = await request.body()
        answer = await run_in_threadpool(host.invoke, body, request.headers)
        return Response(answer.body, status_code=answer.status_code, media_type=answer.content_type)

    async def status(request: Request) -> Response:
        if not _known(request):
            return _not_found(request)
        return JSONResponse(model.status())

    async def predict(request: Request) -> Response:
        if not _known(request):
            return _not_found(request)
        try:
            asked = json.loads(await request.body())
            if not isinstance(asked, dict):
                raise PredictError(400, "JSON Value: must be an object")
            columns = await asyncio.wrap_future(model.submit(model.values_of(asked)))
            return JSONResponse(model.answer_of(asked, columns))
        except PredictError as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)
        except ValueError as error:
            return JSONResponse({"error": f"JSON Parse error: {error}"}, status_code=400)
        except Exception as error:
            log.exception("predict failed")
            return JSONResponse({"error": str(error)}, status_code=500)

    def _known(request: Request) -> bool:
        name, version = request.path_params["name"], request.path_params.get("version")
        return bool(name == model.name and version in (None, model.version))

    def _not_found(request: Request) -> Response:
        return JSONResponse({"error": f"Servable not found for request: {request.url.path}"}, status_code=404)

    base = "/v1/models/{name}"
    versioned = base + "/versions/{version:int}"
    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
            Route(base + ":predict", predict, methods=["POST"]),
            Route(versioned + ":predict", predict, methods=["POST"]),
            Route(versioned, status),
            Route(base, status),
        ]
    )


def serve(model_dir: Path, port: int, threads: int | None = None) -> None:
    """Serve until the process is told to stop."""
    model = ServedModel(model_dir, threads)
    host = InferenceHost(model_dir, f"http://{LOOPBACK}:{port}", model.name)
    # The first call compiles the graph; a health check must not find the server half ready.
    model.submit([b""]).result()
    config: Any = uvicorn.Config(application(model, host), host=LOOPBACK, port=port, log_level="warning")
    try:
        uvicorn.Server(config).run()
    finally:
        model.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Serve an unpacked model archive on loopback.")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the unpacked model.tar.gz")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, help="CPU threads of TensorFlow")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve(options.model_dir, options.port, options.threads)


if __name__ == "__main__":
    main()
