"""The folder and the environment that a training program finds: the contract of SageMaker's training toolkit.

``/opt/ml`` itself needs root, so ``SAGEMAKER_BASE_DIR`` names the folder, as it does for the toolkit.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from menulens.local import objects
from menulens.local.errors import JobFailedError

HOST = "algo-1"
_GROUP = "homogeneousCluster"
_RESERVED = "sagemaker_"


@dataclass(frozen=True)
class OptMl:
    """The folders below ``/opt/ml``."""

    base: Path

    @property
    def config(self) -> Path:
        """Folder of the configuration files."""
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        """Folder of the channels."""
        return self.base / "input" / "data"

    @property
    def model(self) -> Path:
        """Folder that becomes model.tar.gz."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        """Folder of ``failure`` and ``data``."""
        return self.base / "output"

    @property
    def code(self) -> Path:
        """Folder of the submitted program."""
        return self.base / "code"

    @property
    def scratch(self) -> Path:
        """Folder of temporary files: a container's own ``/tmp``, which goes with the container."""
        return self.base.parents[1] / "tmp"

    def create(self) -> None:
        """Make every folder."""
        for folder in (
            self.scratch,
            self.config,
            self.data,
            self.model,
            self.output / "data",
            self.output / "intermediate",
            self.code,
        ):
            folder.mkdir(parents=True, exist_ok=True)

    def failure(self) -> str:
        """Return what the program wrote to ``/opt/ml/output/failure``, or nothing."""
        path = self.output / "failure"
        return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""


def write_config(opt_ml: OptMl, request: dict[str, Any]) -> None:
    """Write hyperparameters.json, inputdataconfig.json and resourceconfig.json."""
    for name, value in (
        ("hyperparameters", request.get("HyperParameters", {})),
        ("inputdataconfig", _input_data_config(request)),
        ("resourceconfig", _resource_config(request)),
    ):
        (opt_ml.config / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _input_data_config(request: dict[str, Any]) -> dict[str, Any]:
    default_mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    channels = {}
    for channel in request.get("InputDataConfig", ()):
        source = channel["DataSource"].get("S3DataSource", {})
        channels[channel["ChannelName"]] = {
            "TrainingInputMode": channel.get("InputMode", default_mode),
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
    return channels


def _resource_config(request: dict[str, Any]) -> dict[str, Any]:
    instance = request["ResourceConfig"].get("InstanceType", "local")
    return {
        "current_host": HOST,
        "current_instance_type": instance,
        "current_group_name": _GROUP,
        "hosts": [HOST],
        "instance_groups": [{"instance_group_name": _GROUP, "instance_type": instance, "hosts": [HOST]}],
        "network_interface_name": "eth0",
    }


def decoded(hyperparameters: dict[str, str]) -> dict[str, Any]:
    """Return hyperparameters as the toolkit reads them: JSON where the text is JSON, the text where not."""
    values: dict[str, Any] = {}
    for key, text in hyperparameters.items():
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def arguments(hyperparameters: dict[str, Any]) -> list[str]:
    """Return the program's arguments, spelled as the toolkit spells them, sorted by name."""
    given: list[str] = []
    for key in sorted(hyperparameters):
        value = hyperparameters[key]
        if isinstance(value, dict):
            text = ",".join(f"{name}={item}" for name, item in sorted(value.items()))
        else:
            text = "" if value is None else str(value)
        given += [f"--{key}" if len(key) > 1 else f"-{key}", text]
    return given


def fetch_code(s3: Any, opt_ml: OptMl, hyperparameters: dict[str, Any]) -> str:
    """Bring the submitted program into the code folder and return the name of its entry point.

    Raises
    ------
    JobFailedError
        If no program is named, or it is not in the archive.
    """
    program = hyperparameters.get("sagemaker_program")
    source = hyperparameters.get("sagemaker_submit_directory")
    if not program or not source:
        raise JobFailedError(
            "ClientError: the hyperparameters sagemaker_program and sagemaker_submit_directory must name the program "
            "to train with; a container of its own can't run here."
        )
    objects.unpack(objects.read(s3, str(source)), opt_ml.code, f"sagemaker_submit_directory ({source})")
    if not (opt_ml.code / str(program)).is_file():
        have = ", ".join(sorted(path.name for path in opt_ml.code.iterdir()))
        raise JobFailedError(f"ClientError: {source} holds no {program}; it holds: {have}.")
    return str(program)


def environment(opt_ml: OptMl, request: dict[str, Any], arn: str, program: str, region: str) -> dict[str, str]:
    """Return the environment variables of the training program."""
    every = decoded(request.get("HyperParameters", {}))
    own = {key: value for key, value in every.items() if not key.startswith(_RESERVED)}
    channels = _input_data_config(request)
    resources = _resource_config(request)
    channel_folders = {name: str(opt_ml.data / name) for name in channels}
    values: dict[str, Any] = {
        "hosts": [HOST],
        "network_interface_name": "eth0",
        "hps": own,
        "user_entry_point": program,
        "framework_params": {},
        "framework_module": "",
        "resource_config": resources,
        "input_data_config": channels,
        "output_data_dir": str(opt_ml.output / "data"),
        "output_intermediate_dir": str(opt_ml.output / "intermediate"),
        "channels": sorted(channels),
        "current_host": HOST,
        "current_instance_type": resources["current_instance_type"],
        "current_instance_group": _GROUP,
        "current_instance_group_hosts": [HOST],
        "instance_groups": [_GROUP],
        "instance_groups_dict": {_GROUP: resources["instance_groups"][0]},
        "distribution_instance_groups": [],
        "is_hetero": False,
        "module_name": program.removesuffix(".py"),
        "module_dir": every.get("sagemaker_submit_directory", ""),
        "log_level": every.get("sagemaker_container_log_level", 20),
        "input_dir": str(opt_ml.base / "input"),
        "input_config_dir": str(opt_ml.config),
        "output_dir": str(opt_ml.output),
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": 0,
        "num_neurons": 0,
        "model_dir": str(opt_ml.model),
        "user_args": arguments(own),
    }
    values["training_env"] = {
        **{key: value for key, value in values.items() if key != "user_args"},
        "hyperparameters": own,
        "channel_input_dirs": channel_folders,
        "is_master": True,
        "job_name": request["TrainingJobName"],
        "master_hostname": HOST,
    }
    values |= {f"channel_{name}": folder for name, folder in channel_folders.items()}
    values |= {f"hp_{key}": value for key, value in own.items()}
    return {
        "SAGEMAKER_BASE_DIR": str(opt_ml.base),
        "TRAINING_JOB_NAME": request["TrainingJobName"],
        "TRAINING_JOB_ARN": arn,
        "SAGEMAKER_JOB_NAME": request["TrainingJobName"],
        "SAGEMAKER_REGION": region,
        "CURRENT_HOST": HOST,
        "SM_MASTER_ADDR": HOST,
        "PYTHONPATH": str(opt_ml.code),
        **{f"SM_{key.upper()}": _text(value) for key, value in values.items()},
    }


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
