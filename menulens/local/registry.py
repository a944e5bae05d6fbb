"""Model package groups and model packages: versions, approval, and an event at each change."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from menulens.local.context import Context, Operation, Params
from menulens.local.errors import conflict, invalid
from menulens.local.paging import page

_PACKAGE_MEMBERS = (
    "ModelPackageDescription",
    "InferenceSpecification",
    "SourceAlgorithmSpecification",
    "ValidationSpecification",
    "CertifyForMarketplace",
    "MetadataProperties",
    "ModelMetrics",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "AdditionalInferenceSpecifications",
    "SkipModelValidation",
    "SourceUri",
    "SecurityConfig",
    "ModelCard",
    "ModelLifeCycle",
)


def _last(name_or_arn: str) -> str:
    """Return a name from a name or an ARN: ``group`` or ``group/version``."""
    return name_or_arn.partition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn


@dataclass
class Registry:
    """The operations on the model registry."""

    context: Context
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    packages: dict[str, dict[str, Any]] = field(default_factory=dict)
    _newest: dict[str, int] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": lambda params: dict(self.group(params["ModelPackageGroupName"])),
            "ListModelPackageGroups": self.list_groups,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create_package,
            "DescribeModelPackage": lambda params: dict(self.package(params["ModelPackageName"])),
            "ListModelPackages": self.list_packages,
            "UpdateModelPackage": self.update_package,
            "DeleteModelPackage": self.delete_package,
        }

    def group(self, name: str) -> dict[str, Any]:
        """Return a group by name or ARN."""
        try:
            return self.groups[_last(name)]
        except KeyError:
            raise invalid(f"Model Package Group {name} does not exist.") from None

    def package(self, name: str) -> dict[str, Any]:
        """Return a package by ARN, or by name if it is unversioned."""
        try:
            return self.packages[_last(name)]
        except KeyError:
            raise invalid(f"ModelPackage {name} does not exist.") from None

    def create_group(self, params: Params) -> Params:
        """Make a group."""
        name = params["ModelPackageGroupName"]
        arn = self.context.config.arn("model-package-group", name)
        with self.context.lock:
            if name in self.groups:
                raise invalid(f"Model Package Group already exists: {arn}")
            self.groups[name] = {
                "ModelPackageGroupName": name,
                "ModelPackageGroupArn": arn,
                "CreationTime": time.time(),
                "CreatedBy": {},
                "ModelPackageGroupStatus": "Completed",
            }
            if "ModelPackageGroupDescription" in params:
                self.groups[name]["ModelPackageGroupDescription"] = params["ModelPackageGroupDescription"]
            self.context.tags.set(arn, params.get("Tags"))
        return {"ModelPackageGroupArn": arn}

    def list_groups(self, params: Params) -> Params:
        """List groups."""
        kept = [{k: v for k, v in group.items() if k != "CreatedBy"} for group in self.groups.values()]
        return page(kept, params, into="ModelPackageGroupSummaryList", name="ModelPackageGroupName")

    def delete_group(self, params: Params) -> Params:
        """Delete an empty group."""
        with self.context.lock:
            group = self.group(params["ModelPackageGroupName"])
            name = group["ModelPackageGroupName"]
            if any(package.get("ModelPackageGroupName") == name for package in self.packages.values()):
                raise conflict(f"Model Package Group {group['ModelPackageGroupArn']} still has model packages.")
            del self.groups[name]
            self.context.tags.drop(group["ModelPackageGroupArn"])
        return {}

    def create_package(self, params: Params) -> Params:
        """Register a package; in a group it gets the next version."""
        if ("ModelPackageGroupName" in params) == ("ModelPackageName" in params):
            raise invalid("Either ModelPackageName or ModelPackageGroupName is due, and not both.")
        if "InferenceSpecification" not in params and "SourceAlgorithmSpecification" not in params:
            raise invalid("InferenceSpecification or SourceAlgorithmSpecification is due.")
        with self.context.lock:
            record: dict[str, Any] = {key: params[key] for key in _PACKAGE_MEMBERS if key in params}
            if "ModelPackageGroupName" in params:
                group = self.group(params["ModelPackageGroupName"])["ModelPackageGroupName"]
                version = self._newest[group] = self._newest.get(group, 0) + 1
                name = f"{group}/{version}"
                record |= {
                    "ModelPackageGroupName": group,
                    "ModelPackageVersion": version,
                    "ModelApprovalStatus": params.get("ModelApprovalStatus", "PendingManualApproval"),
                }
            else:
                name = params["ModelPackageName"]
                if name in self.packages:
                    raise conflict(f"Model package {name} already exists.")
            arn = self.context.config.arn("model-package", name)
            self.packages[name] = {
                "ModelPackageName": name,
                "ModelPackageArn": arn,
                "CreationTime": time.time(),
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreatedBy": {},
                **record,
            }
            self.context.tags.set(arn, params.get("Tags"))
        self.context.events.model_package(arn, self.packages[name])
        return {"ModelPackageArn": arn}

    def update_package(self, params: Params) -> Params:
        """Change a package's approval or its metadata."""
        with self.context.lock:
            package = self.package(params["ModelPackageArn"])
            if "ModelApprovalStatus" in params and "ModelPackageVersion" not in package:
                raise invalid("ModelApprovalStatus is for versioned model packages.")
            for key in ("ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri"):
                if key in params:
                    package[key] = params[key]
            properties = {
                **package.get("CustomerMetadataProperties", {}),
                **params.get("CustomerMetadataProperties", {}),
            }
            for key in params.get("CustomerMetadataPropertiesToRemove", ()):
                properties.pop(key, None)
            if properties:
                package["CustomerMetadataProperties"] = properties
            package["LastModifiedTime"] = time.time()
            package["LastModifiedBy"] = {}
        self.context.events.model_package(package["ModelPackageArn"], package)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def list_packages(self, params: Params) -> Params:
        """List packages; a group's versions newest first unless asked otherwise."""
        group = params.get("ModelPackageGroupName")
        wanted = self.group(group)["ModelPackageGroupName"] if group else None
        kind = params.get("ModelPackageType", "Versioned" if wanted else "Unversioned")
        kept = []
        for package in self.packages.values():
            versioned = "ModelPackageVersion" in package
            if wanted and package.get("ModelPackageGroupName") != wanted:
                continue
            if kind != "Both" and versioned != (kind == "Versioned"):
                continue
            if params.get("ModelApprovalStatus", package.get("ModelApprovalStatus")) != package.get(
                "ModelApprovalStatus"
            ):
                continue
            keys = (
                "ModelPackageName",
                "ModelPackageGroupName",
                "ModelPackageVersion",
                "ModelPackageArn",
                "ModelPackageDescription",
                "CreationTime",
                "ModelPackageStatus",
                "ModelApprovalStatus",
            )
            kept.append({key: package[key] for key in keys if key in package})
        return page(kept, params, into="ModelPackageSummaryList", name="ModelPackageName")

    def delete_package(self, params: Params) -> Params:
        """Delete a package."""
        with self.context.lock:
            package = self.package(params["ModelPackageName"])
            del self.packages[package["ModelPackageName"]]
            self.context.tags.drop(package["ModelPackageArn"])
        return {}

    def container(self, package_name: str) -> dict[str, Any]:
        """Return the container that a package says to serve."""
        specification = self.package(package_name).get("InferenceSpecification") or {}
        containers = specification.get("Containers") or []
        if not containers:
            raise invalid(f"Model package {package_name} has no inference container.")
        first: dict[str, Any] = containers[0]
        return first
