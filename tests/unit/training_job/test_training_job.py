import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import training_job

SOURCE = Path(training_job.__file__).parent


def any_hyperparameters(**changes):
    values = {
        "classes": json.dumps(["meal", "drink"]),
        "label_to_class": json.dumps({"0": 0, "2": 1}),
        "image_size": 96,
        "learning_rate": 1e-3,
        "model_version": "job-1",
        "sagemaker_program": "train.py",
    }
    return {key: json.dumps(value) for key, value in {**values, **changes}.items() if value is not None}


def write(folder: Path, values) -> Path:
    (folder / "hyperparameters.json").write_text(json.dumps(values))
    return folder


def should_read_values_that_are_json_in_json(tmp_path):
    read = training_job.Hyperparameters.read(write(tmp_path, any_hyperparameters()))
    assert read.classes == ["meal", "drink"]
    assert read.label_to_class == {0: 0, 2: 1}
    assert (read.image_size, read.learning_rate, read.batch_size) == (96, 1e-3, 32)
    assert read.extra["sagemaker_program"] == "train.py"


def should_read_plain_values_too(tmp_path):
    values = {"classes": '["a", "b"]', "label_to_class": '{"0": 0, "1": 1}', "model_version": "x", "epochs": "3"}
    assert training_job.Hyperparameters.read(write(tmp_path, values)).epochs == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "classes is missing"),
        ({"epochs": "many"}, "epochs is 'many'"),
        ({"label_to_class": json.dumps({"0": 7})}, r"\[7\]"),
        ({"label_to_class": "[1]"}, "label_to_class"),
    ],
)
def should_name_the_hyperparameter_that_is_wrong(tmp_path, changes, message):
    with pytest.raises(training_job.HyperparameterError, match=message):
        training_job.Hyperparameters.read(write(tmp_path, any_hyperparameters(**changes)))


def should_hear_the_stop_signal_while_the_main_thread_is_busy_elsewhere():
    program = """
import ctypes, os, signal, struct, training_job
stop = training_job.StopSignal()
heard, told = os.pipe()
stop.on_stop(lambda: (print("called", flush=True), os.write(told, b".")))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # so that the signal does not end the main thread's wait
print("ready", flush=True)
ctypes.CDLL(None).poll(struct.pack("ihh", heard, 1, 0), 1, 20_000)  # until the other thread has heard, and 20 s at most
try:
    stop.check()
except training_job.StopRequestedError as error:
    print("checked:", error, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], cwd=SOURCE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    os.kill(child.pid, signal.SIGTERM)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert out.startswith("called\nchecked: SageMaker asked the job to stop")
