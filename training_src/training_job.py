"""What SageMaker gives a training job: folders, hyperparameters, the wish to stop; and the files it wants back."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class HyperparameterError(Exception):
    """A hyperparameter that is missing or can't be read; the message names it and what is due."""


class StopRequestedError(Exception):
    """SageMaker asked the job to stop."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The job's folders; on SageMaker all lie under ``/opt/ml``."""

    data: Path
    config: Path
    model: Path
    output: Path

    @classmethod
    def from_environment(cls) -> Folders:
        """Take the toolkit's variables, or the usual places where they are not set."""
        base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
        data = Path(os.environ.get("SM_INPUT_DIR", base / "input")) / "data"
        config = Path(os.environ.get("SM_INPUT_CONFIG_DIR", base / "input" / "config"))
        model = Path(os.environ.get("SM_MODEL_DIR", base / "model"))
        output = Path(os.environ.get("SM_OUTPUT_DIR", base / "output"))
        return cls(data, config, model, output)

    @property
    def output_data(self) -> Path:
        """What becomes ``output.tar.gz``."""
        return Path(os.environ.get("SM_OUTPUT_DATA_DIR", self.output / "data"))


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The job's hyperparameters, read and checked."""

    classes: list[str]
    label_to_class: dict[int, int]
    image_size: int
    batch_size: int
    head_epochs: int
    epochs: int
    learning_rate: float
    max_undecodable_share: float
    max_pixels: int
    max_bytes: int
    train_photos: int
    eval_photos: int
    dataset: str
    model_version: str
    seed: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, config: Path) -> Hyperparameters:
        """Read ``hyperparameters.json``; the toolkit's command line loses the quotes of lists, the file does not.

        Raises
        ------
        HyperparameterError
            If the file or a value is missing or wrong.
        """
        path = config / "hyperparameters.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HyperparameterError(f"{path}: not readable: {error}") from error
        values = {key: _decoded(value) for key, value in raw.items()}

        def get(name: str, kind: Callable[[Any], Any], default: Any = None) -> Any:
            value = values.pop(name, default)
            if value is None:
                raise HyperparameterError(f"hyperparameter {name} is missing")
            try:
                return kind(value)
            except (ValueError, TypeError, AttributeError) as error:
                raise HyperparameterError(f"hyperparameter {name} is {value!r}: {error}") from None

        found = {
            "classes": get("classes", lambda value: [str(key) for key in list(value)]),
            "label_to_class": get("label_to_class", lambda value: {int(k): int(v) for k, v in value.items()}),
            "image_size": get("image_size", int, 224),
            "batch_size": get("batch_size", int, 32),
            "head_epochs": get("head_epochs", int, 2),
            "epochs": get("epochs", int, 8),
            "learning_rate": get("learning_rate", float, 1e-4),
            "max_undecodable_share": get("max_undecodable_share", float, 0.01),
            "max_pixels": get("max_pixels", int, 50_000_000),
            "max_bytes": get("max_bytes", int, 20_000_000),
            "train_photos": get("train_photos", int, 0),
            "eval_photos": get("eval_photos", int, 0),
            "dataset": get("dataset", str, ""),
            "model_version": get(
                "model_version", str, os.environ.get("TRAINING_JOB_NAME") or values.get("sagemaker_job_name")
            ),
            "seed": get("seed", int, 0),
        }
        outside = [place for place in found["label_to_class"].values() if not 0 <= place < len(found["classes"])]
        if outside or len(found["classes"]) < 2:
            raise HyperparameterError(
                f"label_to_class names classes {outside} that are not in classes {found['classes']}"
            )
        return cls(**found, extra=values)


def _decoded(value: Any) -> Any:
    """Undo the JSON text that a hyperparameter is; some senders encode twice."""
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except ValueError:
            break
    return value


class StopSignal:
    """Turns SIGTERM into something that can be asked for, also while TensorFlow holds the main thread.

    A Python signal handler waits until the main thread is back from C++, which may be never if a feeder stalls. But
    the interpreter's own handler writes to a wake-up pipe at once, whichever thread it hits, and a thread reads that.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._pipe, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written)
        signal.signal(signal.SIGTERM, lambda *_: None)  # any handler: the default one ends the process
        threading.Thread(target=self._wait, name="stop-signal", daemon=True).start()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have something called when the signal comes."""
        self._callbacks.append(callback)

    def _wait(self) -> None:
        while os.read(self._pipe, 1) != bytes([signal.SIGTERM]):
            continue
        self._stopped.set()
        for callback in self._callbacks:
            callback()

    def check(self) -> None:
        """Raise if the job is to stop.

        Raises
        ------
        StopRequestedError
            If SIGTERM came.
        """
        if self._stopped.is_set():
            raise StopRequestedError("SageMaker asked the job to stop; no model was written")
