"""Endpoints: created, updated without downtime, watched, restarted, invoked."""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from menulens.local.context import Context, Operation, Params
from menulens.local.errors import JobFailedError, ServiceError, invalid
from menulens.local.hosting import ModelServer
from menulens.local.jobs import shorten
from menulens.local.logs import JobLog
from menulens.local.models import Models
from menulens.local.paging import page

LOG_GROUP = "/aws/sagemaker/Endpoints"
_WATCH_SECONDS = 0.5
_DRAIN_SECONDS = 60.0  # as long as a request may take
_MAX_BODY = 25 * 1024 * 1024  # what a real-time endpoint takes
_log = logging.getLogger("menulens.local")


@dataclass(frozen=True)
class Invocation:
    """What InvokeEndpoint answers."""

    body: bytes
    content_type: str
    custom_attributes: str
    variant: str


@dataclass
class Fleet:
    """The running containers of one endpoint configuration, by variant."""

    config_name: str
    servers: dict[str, ModelServer]
    weights: dict[str, float]
    log: JobLog
    _asked: int = 0
    _idle: threading.Condition = field(default_factory=threading.Condition)

    def pick(self) -> tuple[str, ModelServer]:
        """Return a variant by weight."""
        names = list(self.servers)
        weights = [self.weights[name] for name in names]
        total = sum(weights)
        name = random.choices(names, weights)[0] if total else names[0]  # noqa: S311 (traffic split, no secret)
        return name, self.servers[name]

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Count a request for as long as it runs."""
        with self._idle:
            self._asked += 1
        try:
            yield
        finally:
            with self._idle:
                self._asked -= 1
                self._idle.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until no request runs any more."""
        with self._idle:
            self._idle.wait_for(lambda: self._asked == 0, seconds)

    def stop(self) -> None:
        """End every container."""
        for server in self.servers.values():
            server.remove()
        self.log.close()


@dataclass
class Endpoint:
    """One endpoint: what Describe answers, the fleet that serves, and a lock that one change holds at a time."""

    record: dict[str, Any]
    fleet: Fleet | None = None
    deleted: threading.Event = field(default_factory=threading.Event)


class Endpoints:
    """The operations on endpoints."""

    def __init__(self, context: Context, models: Models) -> None:
        self.context = context
        self.models = models
        self.endpoints: dict[str, Endpoint] = {}
        self._counter = itertools.count(1)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateEndpoint": self.create,
            "UpdateEndpoint": self.update,
            "DescribeEndpoint": lambda params: self._described(self.get(params["EndpointName"])),
            "ListEndpoints": self.list,
            "DeleteEndpoint": self.delete,
        }

    def get(self, name: str) -> Endpoint:
        """Return an endpoint."""
        try:
            return self.endpoints[name]
        except KeyError:
            raise invalid(f'Could not find endpoint "{self.context.config.arn("endpoint", name)}".') from None

    def _described(self, endpoint: Endpoint) -> Params:
        with self.context.lock:
            return dict(endpoint.record)

    def create(self, params: Params) -> Params:
        """Make an endpoint; it is InService once every variant answers ``/ping``."""
        name = params["EndpointName"]
        arn = self.context.config.arn("endpoint", name)
        self.models.endpoint_config(params["EndpointConfigName"])
        now = time.time()
        with self.context.lock:
            if name in self.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{arn}".')
            endpoint = self.endpoints[name] = Endpoint(
                {
                    "EndpointName": name,
                    "EndpointArn": arn,
                    "EndpointConfigName": params["EndpointConfigName"],
                    "EndpointStatus": "Creating",
                    "CreationTime": now,
                    "LastModifiedTime": now,
                }
            )
            self.context.tags.set(arn, params.get("Tags"))
        self._publish(endpoint)
        self._in_thread(self._bring_up, endpoint, params["EndpointConfigName"], name)
        return {"EndpointArn": arn}

    def update(self, params: Params) -> Params:
        """Switch to another configuration: the old containers serve until the new ones do."""
        self.models.endpoint_config(params["EndpointConfigName"])
        with self.context.lock:
            endpoint = self.get(params["EndpointName"])
            status = endpoint.record["EndpointStatus"]
            if status not in ("InService", "Failed"):
                raise invalid(f'Cannot update in-progress endpoint "{endpoint.record["EndpointArn"]}" ({status}).')
            if status == "Failed" and endpoint.fleet is None:
                raise invalid(f'Cannot update endpoint "{endpoint.record["EndpointArn"]}": it never was in service.')
            endpoint.record |= {"EndpointStatus": "Updating", "LastModifiedTime": time.time()}
            endpoint.record.pop("FailureReason", None)
        self._publish(endpoint)
        self._in_thread(self._bring_up, endpoint, params["EndpointConfigName"], params["EndpointName"])
        return {"EndpointArn": endpoint.record["EndpointArn"]}

    def _in_thread(self, work: Any, *args: Any) -> None:
        threading.Thread(target=work, args=args, daemon=True, name=f"endpoint-{args[-1]}").start()

    def _bring_up(self, endpoint: Endpoint, config_name: str, name: str) -> None:
        fleet: Fleet | None = None
        reason: str | None = None
        try:
            fleet = self._start_fleet(endpoint, config_name, name)
        except (JobFailedError, ServiceError) as error:
            reason = str(error)
        except Exception as error:
            _log.exception("endpoint %s", name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
        with self.context.lock:
            if endpoint.deleted.is_set() or self.context.ending.is_set():
                old, endpoint.fleet = fleet, None
            elif fleet is not None:
                old, endpoint.fleet = endpoint.fleet, fleet
                self._settle(endpoint, "InService", config_name, None)
            else:
                # As in an account: a failed update rolls back, the old configuration serves on.
                old = None
                kept = endpoint.fleet
                status = "InService" if kept else "Failed"
                self._settle(endpoint, status, kept.config_name if kept else config_name, reason)
        if not endpoint.deleted.is_set():
            self._publish(endpoint)
        if old is not None:
            old.drain(_DRAIN_SECONDS)
            old.stop()
        if fleet is not None and endpoint.fleet is fleet:
            self._watch(endpoint, fleet)

    def _settle(self, endpoint: Endpoint, status: str, config_name: str, reason: str | None) -> None:
        config = self.models.configs.get(config_name, {"ProductionVariants": []})
        endpoint.record |= {
            "EndpointStatus": status,
            "EndpointConfigName": config_name,
            "LastModifiedTime": time.time(),
            "ProductionVariants": [
                {
                    "VariantName": variant["VariantName"],
                    "CurrentWeight": variant.get("InitialVariantWeight", 1.0),
                    "DesiredWeight": variant.get("InitialVariantWeight", 1.0),
                    "CurrentInstanceCount": variant.get("InitialInstanceCount", 1),
                    "DesiredInstanceCount": variant.get("InitialInstanceCount", 1),
                }
                for variant in config["ProductionVariants"]
            ],
        }
        if reason:
            endpoint.record["FailureReason"] = shorten(reason)
        if not endpoint.record["ProductionVariants"]:
            del endpoint.record["ProductionVariants"]

    def _start_fleet(self, endpoint: Endpoint, config_name: str, name: str) -> Fleet:
        config = self.context.config
        variants = self.models.endpoint_config(config_name)["ProductionVariants"]
        number = next(self._counter)
        folder = self.context.folder("endpoints", name, f"{number:03d}-{config_name}")
        log = JobLog(
            config,
            group=f"{LOG_GROUP}/{name}",
            stream=f"AllTraffic/{number:03d}-{config_name}",
            path=folder / "log.txt",
        )
        servers: dict[str, ModelServer] = {}
        try:
            for variant in variants:
                container = self.models.serving_container(variant["ModelName"])
                server = ModelServer(config, container, folder / "model" / variant["VariantName"], log.write)
                servers[variant["VariantName"]] = server
                server.start(lambda: endpoint.deleted.is_set() or self.context.ending.is_set())
        except BaseException:
            for server in servers.values():
                server.remove()
            log.close()
            raise
        weights = {variant["VariantName"]: variant.get("InitialVariantWeight", 1.0) for variant in variants}
        return Fleet(config_name, servers, weights, log)

    def _watch(self, endpoint: Endpoint, fleet: Fleet) -> None:
        """Restart a container that died, as SageMaker does, for as long as its fleet serves."""
        while not self.context.ending.wait(_WATCH_SECONDS):
            if endpoint.fleet is not fleet:
                return
            for variant, server in fleet.servers.items():
                if server.running or endpoint.fleet is not fleet:
                    continue
                fleet.log.write(f"The container of variant {variant} ended; it is started again.")
                try:
                    server.start(lambda: endpoint.fleet is not fleet or self.context.ending.is_set())
                except JobFailedError as error:
                    fleet.log.write(f"The container of variant {variant} did not start again: {error}")

    def delete(self, params: Params) -> Params:
        """Delete an endpoint and end its containers."""
        with self.context.lock:
            endpoint = self.get(params["EndpointName"])
            if endpoint.record["EndpointStatus"] in ("Creating", "Updating"):
                raise invalid(f'Cannot delete in-progress endpoint "{endpoint.record["EndpointArn"]}".')
            endpoint.deleted.set()
            endpoint.record |= {"EndpointStatus": "Deleting", "LastModifiedTime": time.time()}
            fleet, endpoint.fleet = endpoint.fleet, None
        self._publish(endpoint)
        if fleet is not None:
            fleet.stop()
        with self.context.lock:
            self.endpoints.pop(params["EndpointName"], None)
            self.context.tags.drop(endpoint.record["EndpointArn"])
        return {}

    def list(self, params: Params) -> Params:
        """List endpoints."""
        keys = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        with self.context.lock:
            kept = [{key: item.record[key] for key in keys} for item in self.endpoints.values()]
        return page(kept, params, into="Endpoints", name="EndpointName", status="EndpointStatus")

    def invoke(
        self, name: str, body: bytes, *, content_type: str, accept: str, custom_attributes: str = ""
    ) -> Invocation:
        """Send a request to an endpoint.

        Raises
        ------
        ServiceError
            ``ValidationError`` without such an endpoint or when it is not in service, ``ModelError`` (424) with the
            container's own status and message when the container refuses or dies.
        """
        with ExitStack() as asked:
            with self.context.lock:  # a fleet that is replaced now waits for this request
                endpoint = self.endpoints.get(name)
                fleet = endpoint.fleet if endpoint else None
                if fleet is not None:
                    asked.enter_context(fleet.asked())
            return self._ask(
                name,
                endpoint,
                fleet,
                body,
                content_type=content_type,
                accept=accept,
                custom_attributes=custom_attributes,
            )

    def _ask(
        self, name: str, endpoint: Endpoint | None, fleet: Fleet | None, body: bytes, **headers: str
    ) -> Invocation:
        if endpoint is None:
            raise ServiceError(
                "ValidationError", f"Endpoint {name} of account {self.context.config.account} not found."
            )
        if fleet is None:
            raise ServiceError(
                "ValidationError", f"Endpoint {name} is not in service ({endpoint.record['EndpointStatus']})."
            )
        if len(body) > _MAX_BODY:
            raise ServiceError(
                "ValidationError", f"Value at 'body' must have length less than or equal to {_MAX_BODY}", 413
            )
        variant, server = fleet.pick()
        try:
            reply = server.invoke(
                body,
                content_type=headers["content_type"],
                accept=headers["accept"],
                custom_attributes=headers["custom_attributes"],
            )
        except OSError as error:
            raise self._model_error(name, 0, f"Your model did not respond ({error}).", fleet) from None
        if reply.status >= 400:
            raise self._model_error(name, reply.status, reply.body.decode("utf-8", "replace"), fleet)
        return Invocation(reply.body, reply.content_type, reply.custom_attributes, variant)

    def _model_error(self, name: str, status: int, said: str, fleet: Fleet) -> ServiceError:
        config = self.context.config
        source = "client error" if 400 <= status < 500 else "server error"
        error = ServiceError(
            "ModelError",
            f'Received {source} ({status}) from primary with message "{said}". See {LOG_GROUP}/{name} in account '
            f"{config.account} for more information.",
            424,
        )
        error.extra = {
            "OriginalStatusCode": status,
            "OriginalMessage": said,
            "LogStreamArn": f"arn:aws:logs:{config.region}:{config.account}:log-group:{LOG_GROUP}/{name}:"
            f"log-stream:{fleet.log.stream}",
        }
        return error

    def _publish(self, endpoint: Endpoint) -> None:
        record = self._described(endpoint)
        self.context.events.endpoint(record["EndpointArn"], record, self.context.tags.of(record["EndpointArn"]))

    def close(self) -> None:
        """End every container."""
        for endpoint in list(self.endpoints.values()):
            with self.context.lock:
                fleet, endpoint.fleet = endpoint.fleet, None
            if fleet is not None:
                fleet.stop()
