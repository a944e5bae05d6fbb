"""The training source is a folder of scripts, as it lies in the container; its modules import each other by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "training_src"))
