"""Labels that people are spared by machine labels behind a probe, on the demo's pictures and a real network's vectors.

    python -m benchmarks.labels_spared [COUNT]

Pictures are composed from icons, which these vectors tell apart less well than photos of food; where a model is not
sure, or a set is small, nothing is spared, and that is then the figure. Vectors are EfficientNet-Lite0's (ImageNet
weights, nothing fine-tuned); people's labels are taken to be right.
The loop is the one of ``menulens label automate``: people label some pictures, a head learns from them, candidates are
probed, and what stands is labeled by machine; else people label the most uncertain next. What the machine got wrong is
counted against the truth afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from demo.pictures import make_pictures
from menulens.labeling import automatic
from menulens.labeling.prediction import head, out_of_fold

Array = np.ndarray[Any, Any]

REPOSITORY: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = 2400
FIRST: Final = 300
STEP: Final = 150

EMBED: Final = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/training_src"]
import numpy as np, tensorflow as tf
from backbone import Classifier, load_backbone
from export import write_archive
from photo_ops import PhotoLimits
from menulens.storage import Storage
from menulens.training.backbones import stage
folder = Path(sys.argv[2])
model, card = load_backbone(Path(stage("efficientnet_lite0", storage=Storage(), models=str(folder)).uri))
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


def embed(paths: list[Path], folder: Path) -> Array:
    """Return a real network's vectors of photos: float32 [n, 1280]. In a process that TensorFlow leaves with it."""
    listed, out = folder / "paths.txt", folder / "vectors.npy"
    listed.write_text("\n".join(map(str, paths)))
    command = [sys.executable, "-c", EMBED, str(REPOSITORY), str(folder), str(listed), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"no vectors:\n{done.stderr[-2000:]}")
    found: Array = np.load(out)
    return found


def label(vectors: Array, truth: Array, categories: int, groups: Array | None, seed: int = 0) -> Outcome:
    """Label a set: by people, by machine where it is proven to be right."""
    count = len(truth)
    by_people, by_machine = np.zeros(count, dtype=bool), np.full(count, -1)
    generator = np.random.default_rng(seed)
    by_people[generator.permutation(count)[:FIRST]] = True
    told, number = [], 0
    while not np.all(by_people | (by_machine >= 0)):
        learn, rest = np.flatnonzero(by_people), np.flatnonzero(~by_people & (by_machine < 0))
        held_out = out_of_fold(
            vectors[learn], truth[learn], categories, groups=None if groups is None else groups[learn]
        )
        temperature = automatic.fit_temperature(held_out, truth[learn])
        sure = automatic.calibrated(held_out, temperature)
        right = sure.argmax(axis=1) == truth[learn]
        threshold = automatic.choose_threshold(sure.max(axis=1), right, error=automatic.ERROR * automatic.AIM)
        predicted = automatic.calibrated(head(vectors[learn], truth[learn], vectors[rest], categories), temperature)
        names = [str(at) for at in rest]
        candidates, priorities = automatic.batch(names, predicted, 2.0 if threshold is None else threshold, seed=number)
        plan = automatic.plan(len(candidates), number + 1)
        if plan.looks:
            number += 1
            what = f"batch {number}, learned from {len(learn)}"
            told.append(_probe(plan, candidates, truth=truth, by_people=by_people, by_machine=by_machine, what=what))
            if told[-1].endswith("stands"):
                continue
        queue = sorted((name for name in names if not by_people[int(name)]), key=priorities.__getitem__)
        by_people[[int(name) for name in queue[:STEP]]] = True
    machine = by_machine >= 0
    return Outcome(int(by_people.sum()), int(machine.sum()), int(np.sum(by_machine[machine] != truth[machine])), told)


def _probe(
    plan: automatic.Plan,
    candidates: list[automatic.Candidate],
    *,
    truth: Array,
    by_people: Array,
    by_machine: Array,
    what: str,
) -> str:
    """Have people label probes until the batch stands or is stopped; return what happened."""
    wrong: list[bool | None] = []
    verdict = automatic.judge(plan, wrong)
    while verdict.state == "waiting" and verdict.due is not None:
        for one in candidates[len(wrong) : verdict.due]:
            by_people[int(one.item)] = True
            wrong.append(bool(truth[int(one.item)] != one.label))
        verdict = automatic.judge(plan, wrong)
    if verdict.state == "stands":
        for one in candidates[len(wrong) :]:
            by_machine[int(one.item)] = one.label
    return (
        f"{what}: {len(candidates)} candidates, {verdict.errors} of {verdict.probes} "
        f"probes wrong, at most {verdict.bound or 1.0:.1%}: {verdict.state}"
    )


def report(what: str, outcome: Outcome, say: Callable[[str], None] = print) -> None:
    """Say what people were spared."""
    for line in outcome.told:
        say(f"  {line}")
    whole = outcome.people + outcome.machine
    share = outcome.wrong / outcome.machine if outcome.machine else 0.0
    say(
        f"{what}: {whole:,} photos; people labeled {outcome.people:,}, spared {outcome.machine / whole:.1%}; "
        f"the machine was wrong in {outcome.wrong} of {outcome.machine:,} ({share:.2%}; allowed 5 %)."
    )


def main(count: int) -> int:
    """Compose pictures, embed and label them; the exit code tells whether the machine kept to its bound."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = [one for one in make_pictures(folder / "pictures", count) if one.kind == "picture" and one.category]
        vectors = embed([folder / "pictures" / one.key for one in pictures], folder)
    keys = sorted({str(one.category) for one in pictures})
    truth = np.array([keys.index(str(one.category)) for one in pictures])
    restaurants = np.array([one.key.rsplit("/", 1)[0] for one in pictures])
    outcome = label(vectors, truth, len(keys), restaurants)
    report(f"Composed pictures, {len(keys)} categories", outcome)
    return int(outcome.wrong > automatic.ERROR * max(1, outcome.machine))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else PICTURES))
