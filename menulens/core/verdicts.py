"""What stands between the two passes: doubles settled, sides balanced, enough of everything, and the card."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from menulens.core.blocks import Block
from menulens.core.doubles import settle
from menulens.core.lines import Reject
from menulens.core.rules import CleaningRules
from menulens.core.scan import (
    CODE_OF,
    EVAL_BIT,
    FIRST_REJECT,
    HUMAN_BIT,
    MOST_GROUPS,
    REJECT_CODES,
    KeyReader,
    Scan,
)
from menulens.core.split import UnitTable, balance, border, unbalanced

CARD_FORMAT = 1
_LOOK = 1 << 16  # verdicts counted in one go
NAME_LENGTH = 40
Blocks = Callable[[], Iterable[Block]]


FEWEST_FOR_BOTH_SIDES: Final = 2
FEWEST_CLASSES: Final = 2


class DatasetTooSmallError(Exception):
    """A manifest with too few good labels; the message lists what is missing. Nothing was published.

    Attributes
    ----------
    missing
        One sentence for each thing that is missing.
    reasons
        Rejected lines by reason code.
    """

    def __init__(self, missing: Sequence[str], reasons: dict[str, int]) -> None:
        rejected = ", ".join(f"{code}: {count:,}" for code, count in reasons.items()) or "none"
        super().__init__(
            f"Too little to train with, nothing published. {' '.join(missing)} Rejected lines: {rejected}."
        )
        self.missing = list(missing)
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One final verdict byte for every line of a manifest, and what they add up to."""

    codes: bytes | bytearray
    train: dict[str, int]
    eval: dict[str, int]
    reasons: dict[str, int]
    human: int
    machine: int
    groups: int | None


def decide(scanned: Scan, rules: CleaningRules, reindex: bool, blocks: Blocks) -> Verdicts:
    """Turn the scan's bytes into final verdicts.

    Parameters
    ----------
    scanned
        The whole manifest's scan; its verdict bytes are changed in place, its hashes are dropped on the way.
    rules, reindex
        As in the scan.
    blocks
        Gives the manifest's blocks anew; used where photos are doubled or the split is uneven.

    Raises
    ------
    DatasetTooSmallError
        If the manifest can't be split, or a category is under the minimum.
    """
    reader = KeyReader(rules, reindex)
    # The reader has no shapes yet; judging the manifest's start gives it the usual ones.
    codes = scanned.codes
    settle(codes, scanned.sums, reader, _warmed(reader, blocks))
    scanned.sums = array("I")
    _even_out(codes, rules, reader, blocks)
    verdicts = _count(codes, scanned.groups, rules)
    _check(verdicts, rules)
    return verdicts


def _warmed(reader: KeyReader, blocks: Blocks) -> Iterable[Block]:
    """Give the blocks, after the first of them has taught the reader its shapes."""
    for place, block in enumerate(blocks()):
        if place == 0:
            reader.teach(block)
        yield block


def _photos(codes: bytearray, rules: CleaningRules) -> tuple[Counter[int], Counter[int]]:
    """Count the photos of each training category: in all, and on the evaluating side."""
    totals, evaluating = Counter[int](), Counter[int]()
    for code, count in _tally(codes):
        if code < FIRST_REJECT and rules.categories[code >> 2].trains:
            totals[code >> 2] += count
            evaluating[code >> 2] += count * (code & EVAL_BIT)
    return totals, evaluating


def _tally(codes: bytes | bytearray) -> list[tuple[int, int]]:
    """Return every verdict byte with the number of its lines."""
    counts = np.zeros(256, np.int64)
    for first in range(0, len(codes), _LOOK):
        counts += np.bincount(np.frombuffer(codes, np.uint8)[first : first + _LOOK], minlength=256)
    return [(code, count) for code, count in enumerate(counts.tolist()) if count]


def _even_out(codes: bytearray, rules: CleaningRules, reader: KeyReader, blocks: Blocks) -> None:
    totals, evaluating = _photos(codes, rules)
    wrong = unbalanced(totals, evaluating, rules.eval_share)
    if not wrong:
        return
    middle = border(rules)
    table = UnitTable(middle)
    for _, number, category in _kept_units(codes, rules, reader, blocks):
        # Photos without a restaurant are units of one category: only those of the uneven ones can help.
        if rules.group_pattern is not None or category in wrong:
            table.add(number, category)
    moved = balance(table, middle, totals, evaluating, rules.eval_share)
    if moved:
        for line, number, _ in _kept_units(codes, rules, reader, blocks):
            if number in moved:
                codes[line] ^= EVAL_BIT


def _kept_units(
    codes: bytearray, rules: CleaningRules, reader: KeyReader, blocks: Blocks
) -> Iterable[tuple[int, int, int]]:
    """Give line, unit number and category of every line that is kept so far."""
    line = 0
    for block in _warmed(reader, blocks):
        for key in reader.keys(block):
            code = codes[line]
            if code < FIRST_REJECT and rules.categories[code >> 2].trains:
                assert key is not None, "a line that was a candidate in the scan is one now"
                yield line, reader.unit(key.decode()), code >> 2
            line += 1


def _count(codes: bytearray, groups: set[int], rules: CleaningRules) -> Verdicts:
    train, evaluating = dict.fromkeys(rules.classes, 0), dict.fromkeys(rules.classes, 0)
    reasons, human, machine = Counter[Reject](), 0, 0
    for code, count in _tally(codes):
        if code >= FIRST_REJECT:
            reasons[REJECT_CODES[code - FIRST_REJECT]] += count
            continue
        category = rules.categories[code >> 2]
        if not category.trains:
            reasons[Reject.NOT_FOR_TRAINING] += count
            continue
        (evaluating if code & EVAL_BIT else train)[category.key] += count
        if code & HUMAN_BIT:
            human += count
        else:
            machine += count
    counted = None if rules.group_pattern is None or len(groups) > MOST_GROUPS else len(groups)
    ordered = {str(code): reasons[code] for code in REJECT_CODES if reasons[code]}
    return Verdicts(codes, train, evaluating, ordered, human, machine, counted)


def _check(verdicts: Verdicts, rules: CleaningRules) -> None:
    missing, whole = [], 0
    for key in rules.classes:
        train, evaluating = verdicts.train[key], verdicts.eval[key]
        have = train + evaluating
        whole += bool(train and evaluating)
        if rules.min_per_category == 0 and have < FEWEST_FOR_BOTH_SIDES:
            continue
        if have < rules.min_per_category:
            missing.append(
                f"Category {key!r} has {have} photos, {rules.min_per_category - have} fewer than the "
                f"{rules.min_per_category} that are due."
            )
        elif not train or not evaluating:
            side = "evaluation" if train else "training"
            why = "all its photos are of too few restaurants" if rules.group_pattern else "it has too few photos"
            missing.append(f"Category {key!r} has {have} photos, but none for {side}: {why}.")
    if not missing and whole < FEWEST_CLASSES:
        missing.append(
            f"{FEWEST_CLASSES} categories with {FEWEST_FOR_BOTH_SIDES} photos each are due; {whole} have them."
        )
    if missing:
        raise DatasetTooSmallError(missing, verdicts.reasons)


def final_table(rules: CleaningRules) -> bytes:
    """Return the table that maps each verdict byte to 0 (training), 1 (evaluation), or its reject code."""
    table = bytearray(range(256))
    for index, category in enumerate(rules.categories):
        for code in range(index << 2, (index + 1) << 2):
            table[code] = code & EVAL_BIT if category.trains else CODE_OF[Reject.NOT_FOR_TRAINING]
    return bytes(table)


def dataset_name(source: str) -> str:
    """Return a name for a dataset whose maker gave none: the file's stem, or its folder if that says nothing."""
    steps = [step for step in re.split(r"[/\\]+", source.rstrip("/")) if step]
    stem = re.sub(r"\.[A-Za-z0-9]+$", "", steps[-1]) if steps else ""
    return stem or "dataset"


def dataset_id(name: str, sha256: str, rules: CleaningRules, reindex: bool = False) -> str:
    """Return the name of the dataset that cleaning a manifest gives: the same for the same content.

    Parameters
    ----------
    name
        The labeling job's or file's name; cut to 40 of ``A-Z a-z 0-9 -``.
    sha256
        Of the manifest, in hexadecimal.
    rules, reindex
        What it was cleaned by.
    """
    short = re.sub(r"[^A-Za-z0-9-]+", "-", name)[:NAME_LENGTH].strip("-") or "dataset"
    content = f"{sha256}{rules.fingerprint()}{'reindex' if reindex else ''}"
    return f"{short}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def card(
    *, name: str, uri: str, sha256: str, verdicts: Verdicts, rules: CleaningRules, reindex: bool, reindexed: int
) -> dict[str, Any]:
    """Return the dataset card, which training, registry and people read."""
    kept = sum(verdicts.train.values()) + sum(verdicts.eval.values())
    return {
        "format": CARD_FORMAT,
        "dataset": dataset_id(name, sha256, rules, reindex),
        "source": {"uri": uri, "sha256": sha256, "lines": len(verdicts.codes)},
        "label_attribute": rules.label_attribute,
        "categories": [
            {"key": category.key, "trains": category.trains, "index": index}
            for index, category in enumerate(rules.categories)
        ],
        "classes": list(rules.classes),
        "label_to_class": {str(label): position for label, position in rules.label_to_class.items()},
        "kept": kept,
        "rejected": len(verdicts.codes) - kept,
        "counts": {"train": verdicts.train, "eval": verdicts.eval},
        "reasons": verdicts.reasons,
        "reindexed": reindexed,
        "human": verdicts.human,
        "machine": verdicts.machine,
        "split": {
            "eval_share": rules.eval_share,
            "group_pattern": rules.group_pattern,
            "groups": verdicts.groups,
        },
        "rules": rules.fingerprint(),
    }
