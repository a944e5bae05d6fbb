"""What cleaning must know about one environment: categories, the photo bucket, the split."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Category:
    """A category's key, and whether its photos train the model."""

    key: str
    trains: bool = True


@dataclass(frozen=True, slots=True)
class CleaningRules:
    """Everything that decides which line of an augmented manifest is kept, and where it goes.

    Attributes
    ----------
    label_attribute
        The manifest key that holds the label.
    categories
        In the order of the labeling job: a category's place is its label index.
    photo_bucket, photo_prefix
        A line whose ``source-ref`` lies elsewhere is rejected.
    eval_share
        Part of each category that evaluates, over 0 and under 1.
    min_per_category
        Photos a training category must have after cleaning. 0: some may have none, as long as two have enough.
    group_pattern
        Regular expression; its first group, found in a photo's key, names the restaurant. None: each photo by itself.
    """

    label_attribute: str
    categories: tuple[Category, ...]
    photo_bucket: str
    photo_prefix: str = ""
    eval_share: float = 0.2
    min_per_category: int = 10
    group_pattern: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Keys of the categories that train: the model's class list, contiguous from 0."""
        return tuple(category.key for category in self.categories if category.trains)

    @property
    def label_to_class(self) -> dict[int, int]:
        """Label index of the labeling job to class index of the model."""
        trained = [index for index, category in enumerate(self.categories) if category.trains]
        return {label: position for position, label in enumerate(trained)}

    def to_json(self) -> str:
        """Return the rules as one line of JSON, the same for the same rules."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> CleaningRules:
        """Read rules that :meth:`to_json` wrote."""
        values = json.loads(text)
        values["categories"] = tuple(Category(**category) for category in values["categories"])
        return cls(**values)

    def fingerprint(self) -> str:
        """Return a short hash, part of the name of every dataset made by these rules."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]
