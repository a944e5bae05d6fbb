"""Each function of train, deploy and vectorise, as it ships: alone in a folder, imported by an isolated interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from menulens.settings import load_settings
from stacks.packaging import assemble_lambda

CONFIG = Path(__file__).resolve().parents[3] / "config" / "local.toml"
STEPS = (
    "prepare_training",
    "training_outcome",
    "gate_model",
    "prepare_deployment",
    "smoke_test",
    "plan_vectors",
    "pack_vectors",
    "transform_outcome",
    "collect_vectors",
)
# The checkout is on no path of an isolated interpreter but through the editable install, which must not help.
IMPORT = """
import json, sys
sys.path[:] = [place for place in sys.path if "editable" not in place]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, sys.argv[1])
import handler
ours = sorted(module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in ("handler", "menulens"))
heavy = sorted({"numpy", "pydantic", "tensorflow"} & set(sys.modules))
print(json.dumps({"callable": callable(handler.handler), "files": ours, "heavy": heavy}))
"""


@pytest.mark.parametrize("step", STEPS)
def should_import_from_its_asset_alone(step: str, tmp_path: Path) -> None:
    assemble_lambda(step, load_settings(CONFIG), tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["callable"]
    assert told["heavy"] == []
    assert told["files"]
    assert all(Path(file).is_relative_to(tmp_path) for file in told["files"])
