"""Models and endpoint configurations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from menulens.local import objects
from menulens.local.context import Context, Operation, Params
from menulens.local.errors import invalid
from menulens.local.paging import page
from menulens.local.registry import Registry


@dataclass
class Models:
    """The operations on models and endpoint configurations."""

    context: Context
    registry: Registry
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateModel": self.create_model,
            "DescribeModel": lambda params: dict(self.model(params["ModelName"])),
            "ListModels": self.list_models,
            "DeleteModel": self.delete_model,
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpointConfig": lambda params: dict(self.endpoint_config(params["EndpointConfigName"])),
            "ListEndpointConfigs": self.list_configs,
            "DeleteEndpointConfig": self.delete_config,
        }

    def model(self, name: str) -> dict[str, Any]:
        """Return a model."""
        try:
            return self.models[name]
        except KeyError:
            raise invalid(f'Could not find model "{self.context.config.arn("model", name)}".') from None

    def endpoint_config(self, name: str) -> dict[str, Any]:
        """Return an endpoint configuration."""
        try:
            return self.configs[name]
        except KeyError:
            arn = self.context.config.arn("endpoint-config", name)
            raise invalid(f'Could not find endpoint configuration "{arn}".') from None

    def create_model(self, params: Params) -> Params:
        """Make a model; its artifact must be there."""
        name = params["ModelName"]
        arn = self.context.config.arn("model", name)
        containers = self._containers(params)
        for container in containers:
            if url := container.get("ModelDataUrl"):
                self._check_artifact(url)
        with self.context.lock:
            if name in self.models:
                raise invalid(f'Cannot create already existing model "{arn}".')
            keys = ("PrimaryContainer", "Containers", "InferenceExecutionConfig", "ExecutionRoleArn", "VpcConfig")
            self.models[name] = {
                "ModelName": name,
                **{key: params[key] for key in keys if key in params},
                "CreationTime": time.time(),
                "ModelArn": arn,
                "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
            }
            self.context.tags.set(arn, params.get("Tags"))
        self.context.events.model(arn, self.models[name], self.context.tags.of(arn))
        return {"ModelArn": arn}

    def _containers(self, params: Params) -> list[dict[str, Any]]:
        if ("PrimaryContainer" in params) == ("Containers" in params):
            raise invalid("Either PrimaryContainer or Containers is due, and not both.")
        containers = params.get("Containers") or [params["PrimaryContainer"]]
        if len(containers) > 1:
            raise invalid("The local cloud serves models of one container; an inference pipeline has several.")
        return [self._resolved(container) for container in containers]

    def _resolved(self, container: dict[str, Any]) -> dict[str, Any]:
        """Return a container with what its model package says filled in."""
        package = container.get("ModelPackageName")
        if package is None:
            if "Image" not in container:
                raise invalid("A container needs an Image or a ModelPackageName.")
            return container
        described = self.registry.package(package)
        if described.get("ModelApprovalStatus", "Approved") == "Rejected":
            raise invalid(f"Model package {described['ModelPackageArn']} was rejected; it can't be deployed.")
        packaged = self.registry.container(package)
        environment = {**packaged.get("Environment", {}), **container.get("Environment", {})}
        return {**packaged, **container, "Environment": environment}

    def _check_artifact(self, url: str) -> None:
        if not objects.exists(self.context.config.client("s3"), url):
            raise invalid(
                f"Could not access model data at {url}. Please ensure that the object is there and that the role may "
                "read it."
            )

    def serving_container(self, model_name: str) -> dict[str, Any]:
        """Return the container that serves a model: Image, ModelDataUrl, Environment."""
        return self._containers(
            {k: v for k, v in self.model(model_name).items() if k in ("PrimaryContainer", "Containers")}
        )[0]

    def list_models(self, params: Params) -> Params:
        """List models."""
        keys = ("ModelName", "ModelArn", "CreationTime")
        kept = [{key: model[key] for key in keys} for model in self.models.values()]
        return page(kept, params, into="Models", name="ModelName")

    def delete_model(self, params: Params) -> Params:
        """Delete a model."""
        with self.context.lock:
            model = self.model(params["ModelName"])
            del self.models[model["ModelName"]]
            tags = self.context.tags.of(model["ModelArn"])
            self.context.tags.drop(model["ModelArn"])
        self.context.events.model(model["ModelArn"], model, tags)
        return {}

    def create_config(self, params: Params) -> Params:
        """Make an endpoint configuration."""
        name = params["EndpointConfigName"]
        arn = self.context.config.arn("endpoint-config", name)
        names = [variant["VariantName"] for variant in params["ProductionVariants"]]
        if len(set(names)) < len(names):
            raise invalid("Variant names must be unique within an endpoint configuration.")
        for variant in params["ProductionVariants"]:
            self.model(variant.get("ModelName", ""))
            if "ServerlessConfig" not in variant and not {"InitialInstanceCount", "InstanceType"} <= variant.keys():
                raise invalid(
                    f"Variant {variant['VariantName']!r} needs InitialInstanceCount and InstanceType, or "
                    "ServerlessConfig."
                )
        with self.context.lock:
            if name in self.configs:
                raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
            known = ("ProductionVariants", "DataCaptureConfig", "KmsKeyId", "AsyncInferenceConfig", "ExecutionRoleArn")
            self.configs[name] = {
                "EndpointConfigName": name,
                "EndpointConfigArn": arn,
                **{key: params[key] for key in known if key in params},
                "CreationTime": time.time(),
                "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
            }
            self.context.tags.set(arn, params.get("Tags"))
        return {"EndpointConfigArn": arn}

    def list_configs(self, params: Params) -> Params:
        """List endpoint configurations."""
        keys = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        kept = [{key: config[key] for key in keys} for config in self.configs.values()]
        return page(kept, params, into="EndpointConfigs", name="EndpointConfigName")

    def delete_config(self, params: Params) -> Params:
        """Delete an endpoint configuration."""
        with self.context.lock:
            config = self.endpoint_config(params["EndpointConfigName"])
            del self.configs[config["EndpointConfigName"]]
            self.context.tags.drop(config["EndpointConfigArn"])
        return {}
