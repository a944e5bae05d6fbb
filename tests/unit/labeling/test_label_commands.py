"""What `menulens label automate` says."""

from dataclasses import replace

import numpy as np

from menulens.cli.automate import lines, vectors_of
from menulens.labeling.automatic import Candidate
from menulens.labeling.probing import Verdict, plan
from menulens.portal.automation import Batch, Report
from menulens.search.store import StoredVectors, Tag

BATCH = Batch(
    2, "model-7", 1.3, 0.912, 0.05, 0.95, tuple(Candidate(f"{n:07d}", 0, 0.95) for n in range(500)), plan(500, 2)
)


def should_say_how_the_probe_went_and_what_people_are_spared() -> None:
    stood = Report(
        "labeled", batch=BATCH, verdict=Verdict("stands", 115, 0, 0.0493, None), labeled=385, photos=400, answers=640.4
    )
    assert lines(stood) == [
        "The machine's labels stand.",
        "Batch 2 of model-7: 500 candidates of confidence 0.912 and more.",
        "Probe: 0 of 115 wrong; with 95% certainty at most 4.9% (allowed: 5%).",
        "Labeled by machine now: 385; withdrawn: 0.",
        "People are spared 400 photos so far, some 640 answers.",
    ]


def should_say_what_is_due_before_the_first_look() -> None:
    begun = Report(
        "probing", 300, 7, BATCH, error_before=0.08, error_after=0.02, verdict=Verdict("waiting", 0, 0, None, 115)
    )
    said = lines(begun)
    assert "Learned from 300 labels; calibration error 0.080, 0.020 at the temperature that fits." in said
    assert "7 items have no vector; the state machine vectorise makes them." in said
    assert "The next look is due at 115 probes." in said
    assert not [line for line in said if line.startswith("Probe:")]
    assert "go on labeling" in lines(replace(begun, did="too few labels", batch=None, verdict=None))[0]


def should_find_the_vectors_that_are_stored_by_key_or_address() -> None:
    stored = StoredVectors(
        model_version="m", ids=("photos/a.jpg",), tags=(Tag(),), shards=1, vectors=np.ones((1, 2), np.float32)
    )
    found = vectors_of(stored)(["s3://any-photos/photos/a.jpg", "s3://any-photos/photos/b.jpg"])
    assert list(found) == ["s3://any-photos/photos/a.jpg"]
