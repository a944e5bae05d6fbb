"""Labels that people are spared by machine labels behind a probe, on a real network's vectors.

    python -m benchmarks.labels_spared [FOLDER] [--count COUNT] [--seeds SEEDS]

FOLDER holds photos in subfolders named by category, or a ``labels.csv`` that gives ``path`` and ``menu_category``.
Without one the demo's pictures are taken: composed from icons, which these vectors tell apart less well than photos of
food. Where a model is not sure, or a set is small, nothing is spared, and that is then the figure.

Vectors are EfficientNet-Lite0's (ImageNet weights, nothing fine-tuned), beside a colour histogram's and those of the
same network with random weights; people's labels are taken to be right. The decisions are those of ``menulens label
automate``: people label some photos, candidates are probed, and what stands is labeled by machine; else people label
the most uncertain next. What the machine got wrong is counted against the truth afterwards.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from scipy import stats

from demo.pictures import make_pictures
from menulens.labeling import automatic, probing

Array = np.ndarray[Any, Any]

REPOSITORY: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = 700
SEEDS: Final = 3
FIRST: Final = 150
STEP: Final = 150
BINS: Final = 8
KINDS: Final = ("EfficientNet-Lite0", "colour histogram", "random weights")

EMBED: Final = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/training_src"]
import numpy as np, tensorflow as tf
from backbone import Classifier, load_backbone, randomise
from export import write_archive
from photo_ops import PhotoLimits
from menulens.storage import Storage
from menulens.training.backbones import stage
folder = Path(sys.argv[2])
model, card = load_backbone(Path(stage("efficientnet_lite0", storage=Storage(), models=str(folder)).uri))
if sys.argv[5] == "random":
    randomise(model.variables, seed=0)
facts = {"model_version": "none", "classes": ["a", "b"], "vector_width": card.width, "l2_normalised": True}
limits = PhotoLimits(224, 20_000_000, 50_000_000)
write_archive(Classifier(model, card, ["a", "b"]), limits, facts, {}, folder / "model")
serve = tf.saved_model.load(str(folder / "model" / "1")).signatures["serving_default"]
found = []
paths = Path(sys.argv[3]).read_text().splitlines()
for start in range(0, len(paths), 32):
    photos = [Path(path).read_bytes() for path in paths[start : start + 32]]
    answer = serve(photo=tf.constant(photos))
    assert bool(tf.reduce_all(tf.cast(answer["decoded"], tf.bool)))
    found.append(answer["vector"].numpy())
np.save(sys.argv[4], np.concatenate(found))
"""


@dataclass(slots=True)
class Outcome:
    """How a set was labeled.

    Attributes
    ----------
    people
        Photos that people labeled, probes among them.
    machine, wrong
        Photos that the machine labeled, and how many of these wrongly.
    told
        What happened, step by step.
    """

    people: int
    machine: int
    wrong: int
    told: list[str] = field(default_factory=list)


def embed(paths: Sequence[Path], *, random: bool) -> Array:
    """Return a network's vectors of photos: float32 [n, 1280]. In a process that TensorFlow leaves with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed, out = folder / "paths.txt", folder / "vectors.npy"
        listed.write_text("\n".join(map(str, paths)))
        command = [
            sys.executable,
            "-c",
            EMBED,
            str(REPOSITORY),
            str(folder),
            str(listed),
            str(out),
            "random" if random else "real",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"no vectors:\n{done.stderr[-2000:]}")
        found: Array = np.load(out)
    return found


def colours(paths: Sequence[Path]) -> Array:
    """Return the square roots of photos' colour shares, 512 bins, of length 1: float32 [n, 512]."""
    found = []
    for path in paths:
        with Image.open(path) as photo:
            pixels = np.asarray(photo.convert("RGB").resize((64, 64))).reshape(-1, 3).astype(np.int64) * BINS // 256
        counts = np.bincount(pixels @ [BINS * BINS, BINS, 1], minlength=BINS**3)
        found.append(np.sqrt(counts / counts.sum()))
    return np.array(found, dtype=np.float32)


def label(vectors: Array, truth: Array, categories: int, groups: Array | None, seed: int = 0) -> Outcome:
    """Label a set: by people, by machine where it is proven to be right."""
    count = len(truth)
    by_people, by_machine = np.zeros(count, dtype=bool), np.full(count, -1)
    by_people[np.random.default_rng(seed).permutation(count)[:FIRST]] = True
    told: list[str] = []
    number = 1
    while not np.all(by_people | (by_machine >= 0)):
        left = np.flatnonzero(by_machine < 0)
        labels = np.where(by_people, truth, -1)[left]
        made = automatic.propose(
            vectors[left], labels, categories, batch=number, groups=None if groups is None else groups[left]
        )
        names = [str(at) for at in left[labels < 0]]
        draw = seed * 1000 + number
        candidates, priorities = automatic.batch(names, made.probabilities, made.threshold, seed=draw)
        if made.plan is not None:
            what = f"batch {number}, learned from {int(by_people.sum())}"
            number += 1
            told.append(_probe(made.plan, candidates, what, truth=truth, by_people=by_people, by_machine=by_machine))
            if told[-1].endswith("stands"):
                continue
        queue = sorted((name for name in names if not by_people[int(name)]), key=priorities.__getitem__)
        by_people[[int(name) for name in queue[:STEP]]] = True
    machine = by_machine >= 0
    return Outcome(int(by_people.sum()), int(machine.sum()), int(np.sum(by_machine[machine] != truth[machine])), told)


def _probe(
    planned: probing.Plan,
    candidates: list[automatic.Candidate],
    what: str,
    *,
    truth: Array,
    by_people: Array,
    by_machine: Array,
) -> str:
    """Have people label probes until the batch stands or is stopped; return what happened."""
    wrong: list[bool | None] = []
    verdict = probing.judge(planned, wrong)
    while verdict.state == "waiting" and verdict.due is not None:
        for one in candidates[len(wrong) : verdict.due]:
            by_people[int(one.item)] = True
            wrong.append(bool(truth[int(one.item)] != one.label))
        verdict = probing.judge(planned, wrong)
    if verdict.state == "stands":
        for one in candidates[len(wrong) :]:
            by_machine[int(one.item)] = one.label
    return (
        f"{what}: {len(candidates)} candidates, {verdict.errors} of {verdict.probes} "
        f"probes wrong, at most {verdict.bound or 1.0:.1%}: {verdict.state}"
    )


def interval(values: Sequence[float]) -> str:
    """Return a mean and the 95 % interval of it (Student's t) over seeds."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.1%}"
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return f"{mean:.1%} [{max(0.0, mean - half):.1%}, {mean + half:.1%}]"


def report(what: str, outcomes: Sequence[Outcome]) -> bool:
    """Say what people were spared; return whether no seed's machine labels are surely over the limit."""
    shares = [one.machine / (one.people + one.machine) for one in outcomes]
    machine, wrong = sum(one.machine for one in outcomes), sum(one.wrong for one in outcomes)
    over = sum(one.wrong > probing.ERROR * one.machine for one in outcomes)
    most = float(stats.beta.ppf(0.95, wrong + 1, machine - wrong)) if machine > wrong else 0.0
    print(f"{what}: spared {interval(shares)}; machine labels wrong {wrong} of {machine:,}", end="")
    print(f" ({wrong / machine:.2%}, at most {most:.2%}); {over} of {len(outcomes)} seeds over 5 %" if machine else "")
    sys.stdout.flush()
    return all(one.wrong == 0 or stats.binom.sf(one.wrong - 1, one.machine, probing.ERROR) > 1e-4 for one in outcomes)


def photos_of(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the photos of a folder and their categories: by ``labels.csv``, or by the folder that each is in."""
    table = folder / "labels.csv"
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [folder / row["path"] for row in rows], [row["menu_category"] for row in rows]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return found, [path.parent.name for path in found]


def run(what: str, paths: list[Path], named: list[str], groups: Array | None, seeds: int) -> bool:
    """Embed a set and label it with each kind of vectors and each seed."""
    keys = sorted(set(named))
    truth = np.array([keys.index(one) for one in named])
    print(f"{what}: {len(paths):,} photos of {len(keys)} categories, {seeds} seeds", flush=True)
    kept = True
    for kind in KINDS:
        begun = time.monotonic()
        vectors = colours(paths) if kind == "colour histogram" else embed(paths, random=kind == "random weights")
        print(f"  {kind}: vectors in {time.monotonic() - begun:.0f} s", flush=True)
        outcomes = []
        for seed in range(seeds):
            outcomes.append(label(vectors, truth, len(keys), groups, seed))
            print(
                f"  seed {seed}: {time.monotonic() - begun:.0f} s; {'; '.join(outcomes[-1].told) or 'no batch'}",
                flush=True,
            )
        kept &= report(f"  {kind}", outcomes)
    return kept


def main() -> int:
    """Label a set of photos or pictures; the exit code tells whether the machine kept to its bound."""
    asked = argparse.ArgumentParser(
        prog="python -m benchmarks.labels_spared", description="Labels that people are spared."
    )
    asked.add_argument("folder", nargs="?", type=Path, help="photos by category; without, the demo's pictures")
    asked.add_argument("--count", type=int, default=PICTURES, help="pictures that are made")
    asked.add_argument("--seeds", type=int, default=SEEDS)
    given = asked.parse_args()
    if given.folder is not None:
        paths, named = photos_of(given.folder)
        return int(not run(str(given.folder.name), paths, named, None, given.seeds))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = [one for one in make_pictures(folder, given.count) if one.kind == "picture" and one.category]
        restaurants = np.array([one.key.rsplit("/", 1)[0] for one in pictures])
        named = [str(one.category) for one in pictures]
        kept = run("Composed pictures", [folder / one.key for one in pictures], named, restaurants, given.seeds)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
