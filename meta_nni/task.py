"""What experience belongs to: a task's name, its direction and what is known of its data.

Metafeatures describe a data set in numbers that can be compared across data sets. They
are kept raw, by name, and become an array in one place only: `Task.embedding`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from meta_nni.trial import Objective

__all__ = ["EMBEDDING_SIZE", "METAFEATURES", "Metafeature", "Task", "Transform"]

Transform = Literal["count", "few", "share", "score", "skew"]
"""How a raw metafeature becomes a number of about unit size in the embedding.

count: `log1p(v) / log1p(10,000)`, so that 0 gives 0 and 10,000 gives 1;
few: `log1p(v) / log1p(10)`, for counts whose small differences matter: 10 gives 1;
share: `v`, which lies in 0..1; score: `v`, which lies in -1..1;
skew: `arcsinh(v) / arcsinh(10)`, so that 10 gives 1 and -10 gives -1."""

_LIMIT = 2.0
"""Embedded values are clipped to this size: no single odd number can rule a distance."""


class Metafeature(NamedTuple):
    """One canonical metafeature.

    Attributes:
        name: Key in `Task.metafeatures`.
        unit: What the raw value counts or measures.
        transform: How it enters the embedding, see `Transform`.
        meaning: One line for people.
    """

    name: str
    unit: str
    transform: Transform
    meaning: str


_SKILL = "skill"
"""Unit of landmarkers: 0 is a constant prediction's, 1 a perfect one's (accuracy or R2)."""

METAFEATURES: tuple[Metafeature, ...] = (
    Metafeature("kind_image", "0 or 1", "share", "rows are images"),
    Metafeature("kind_text", "0 or 1", "share", "rows are texts"),
    Metafeature("kind_tabular", "0 or 1", "share", "rows are records of columns"),
    Metafeature("regression", "0 or 1", "share", "the target is a number, not a class"),
    # Size.
    Metafeature("n_train", "rows", "count", "training rows"),
    Metafeature("n_features", "numbers", "count", "columns, pixels x channels, distinct words"),
    Metafeature("height", "pixels", "few", "height of an image"),
    Metafeature("width", "pixels", "few", "width of an image"),
    Metafeature("channels", "channels", "few", "channels of an image"),
    Metafeature("words_per_text", "words", "count", "mean length of a text"),
    Metafeature("characters_per_text", "characters", "count", "mean length of a text"),
    # Target.
    Metafeature("n_classes", "classes", "few", "classes among the training rows"),
    Metafeature("rows_per_class", "rows", "count", "training rows per class, mean"),
    Metafeature("class_entropy", "share", "share", "entropy of the classes; 1 is balanced"),
    Metafeature("class_min_fraction", "share", "share", "share of the smallest class"),
    Metafeature("class_max_fraction", "share", "share", "share of the largest class"),
    Metafeature("target_skew", "skewness", "skew", "skewness of a numeric target"),
    # Values.
    Metafeature("value_mean", "share", "share", "mean brightness, of the range of values"),
    Metafeature("value_std", "share", "share", "deviation of brightness, of the range"),
    Metafeature("value_skew", "skewness", "skew", "skewness of pixels; mean over columns"),
    Metafeature("zero_fraction", "share", "share", "share of values that are zero"),
    Metafeature("constant_fraction", "share", "share", "share of features that never vary"),
    Metafeature("distinct_fraction", "share", "share", "distinct values per row, mean of columns"),
    Metafeature("missing_fraction", "share", "share", "share of values that are missing"),
    Metafeature("categorical_fraction", "share", "share", "share of columns that are categories"),
    # Redundancy.
    Metafeature("pca_1_fraction", "share", "share", "variance in 1 principal component"),
    Metafeature("pca_10_fraction", "share", "share", "variance in 10 principal components"),
    Metafeature("correlation", "share", "share", "mean absolute correlation of features"),
    Metafeature("intrinsic_dimension", "dimensions", "few", "dimension of the rows' manifold"),
    Metafeature("neighbour_correlation", "score", "score", "correlation of adjacent pixels"),
    Metafeature("duplicate_fraction", "share", "share", "rows equal to an earlier row"),
    # Difficulty.
    Metafeature("landmark_nearest", _SKILL, "score", "1-nearest-neighbour, held out"),
    Metafeature("landmark_linear", _SKILL, "score", "ridge on the features, held out"),
    Metafeature("landmark_bayes", _SKILL, "score", "naive Bayes, held out"),
    Metafeature("landmark_stump", _SKILL, "score", "tree of one split, held out"),
    Metafeature("landmark_tree", _SKILL, "score", "tree of a few splits, held out"),
)
"""The canonical metafeatures, in the order of the embedding."""

EMBEDDING_SIZE = 2 * len(METAFEATURES)
"""Length E of `Task.embedding`."""


@dataclass(frozen=True, slots=True)
class Task:
    """Data and an objective: what a search optimises.

    Attributes:
        name: The task's name; runs of the same name are about the same task.
        objective: Whether a larger ("maximize") or smaller ("minimize") value is better.
        metafeatures: Raw numbers that describe the data, by name; `METAFEATURES` lists the
            canonical ones. Others are kept but not embedded. Empty: named only.

    Raises:
        TypeError: A part is of the wrong type.
        ValueError: The name is empty, the objective unknown or a metafeature not finite.
    """

    name: str
    objective: Objective = "maximize"
    metafeatures: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"task name is {self.name!r}, expected a string such as 'digits'")
        if not self.name.strip():
            raise ValueError("task name is empty, expected a name such as 'digits'")
        if self.objective not in get_args(Objective):
            raise ValueError(
                f"objective of task {self.name!r} is {self.objective!r}, "
                "expected 'maximize' or 'minimize'"
            )
        object.__setattr__(self, "metafeatures", _checked(self.name, self.metafeatures))

    @classmethod
    def from_spec(cls, spec: str | Mapping[str, Any], objective: Objective = "maximize") -> Task:
        """Reads a task as users write it.

        Args:
            spec: A name, or `{"name": …, "metafeatures": {…}}` (metafeatures optional).
            objective: Direction of the task's metric.

        Returns:
            The task.

        Raises:
            TypeError: `spec` or a part of it is of the wrong type.
            ValueError: The name is missing, a key is unknown or a value is out of range.
        """
        if isinstance(spec, str):
            return cls(spec, objective)
        if not isinstance(spec, Mapping):
            raise TypeError(
                f"task is {spec!r}, expected a name or a mapping with 'name' and 'metafeatures'"
            )
        if unknown := [key for key in spec if key not in ("name", "metafeatures")]:
            raise ValueError(
                f"task has the unknown keys {unknown}, expected 'name' and 'metafeatures'; "
                "put further numbers about the data into 'metafeatures'"
            )
        if "name" not in spec:
            raise ValueError("task has no 'name', expected {'name': …, 'metafeatures': {…}}")
        return cls(spec["name"], objective, spec.get("metafeatures") or {})

    @property
    def sign(self) -> float:
        """+1.0 if larger values are better, else -1.0: `sign * value` is to be maximised."""
        return 1.0 if self.objective == "maximize" else -1.0

    def embedding(self) -> NDArray[np.float32]:
        """Returns the metafeatures as an array of fixed length.

        Returns:
            float32 array, shape (E,) with E = `EMBEDDING_SIZE`. The first half holds the
            transformed value of each canonical metafeature in order, within -2..2 and 0
            where it is missing; the second half holds 1 where it is present, else 0.
        """
        values = np.zeros(len(METAFEATURES), np.float32)
        present = np.zeros(len(METAFEATURES), np.float32)
        for index, feature in enumerate(METAFEATURES):
            raw = self.metafeatures.get(feature.name)
            if raw is not None:
                values[index] = _transform(raw, feature.transform)
                present[index] = 1.0
        return np.concatenate([values, present])


def _checked(name: str, metafeatures: Any) -> dict[str, float]:
    """Returns the metafeatures as plain floats, or raises what is wrong with them."""
    if not isinstance(metafeatures, Mapping):
        raise TypeError(
            f"metafeatures of task {name!r} are {metafeatures!r}, "
            "expected a mapping from names to numbers"
        )
    return {
        _checked_key(name, key): _checked_value(name, key, metafeatures[key])
        for key in metafeatures
    }


def _checked_key(name: str, key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"task {name!r} has a metafeature named {key!r}, expected a string")
    return key


def _checked_value(name: str, key: str, value: Any) -> float:
    where = f"metafeature {key!r} of task {name!r} is {value!r}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{where}, expected a number; use 0.0 or 1.0 for no or yes")
    try:
        number = float(cast("float", value))
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where}, expected a finite number; leave it out if it is unknown")
    return number


def _transform(raw: float, transform: Transform) -> float:
    """Returns `raw` transformed and clipped; a negative count counts as 0."""
    if transform in ("count", "few"):
        value = math.log1p(max(raw, 0.0)) / math.log1p(10_000 if transform == "count" else 10)
    elif transform == "skew":
        value = math.asinh(raw) / math.asinh(10)
    else:
        value = raw
    return min(max(value, -_LIMIT), _LIMIT)
