"""The tasks: data sets as they are, and honest variations of them.

A variation keeps a subset of the classes, fewer rows, a lower resolution, or brings a
numeric target to mean 0 and deviation 1 (AutoKeras does not scale targets, so the raw and
the scaled one are different tasks). What it keeps is drawn by the task's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from design import rng_of

from meta_nni.models.problem import stratified_rows

__all__ = ["TASKS", "TaskSpec", "materialise", "shares"]


@dataclass(frozen=True)
class TaskSpec:
    """One task.

    Attributes:
        kind: "image", "text" or "tabular"; also the folder of the source.
        source: Name of the data set that the rows come from.
        classes: How many of the classes to keep; None keeps all.
        rows: How many training rows to keep; None keeps all.
        pixels: Side of the images after averaging; None keeps the resolution.
        scaled: Whether to bring a numeric target to mean 0 and deviation 1.
    """

    kind: str
    source: str
    classes: int | None = None
    rows: int | None = None
    pixels: int | None = None
    scaled: bool = False

    @property
    def name(self) -> str:
        """The source's name, and what was changed, such as "cifar10_sub-16px-3c"."""
        parts = {"px": self.pixels, "c": self.classes, "rows": self.rows}
        changes = [f"-{number}{unit}" for unit, number in parts.items() if number]
        return self.source + "".join(changes) + ("-scaled" if self.scaled else "")

    @property
    def is_regression(self) -> bool:
        """Whether the target is a number."""
        return self.source.endswith("_reg")

    @property
    def space(self) -> str:
        """Name of its search space."""
        return f"autokeras_{self.kind}" + ("_regression" if self.is_regression else "")


def _originals(kind: str, names: str) -> list[TaskSpec]:
    return [TaskSpec(kind, name) for name in names.split()]


_IMAGE = [
    *_originals(
        "image",
        "fashion_mnist mnist5k sklearn_digits notmnist kannada_mnist dig_mnist usps sign_digits "
        "cifar10_sub arabic_chars spoken_digit_spec speaker_id_spec omniglot_alphabets "
        "omniglot_latin_greek card_crops",
    ),
    TaskSpec("image", "cifar10_sub", classes=3, pixels=16),
    TaskSpec("image", "fashion_mnist", classes=4, pixels=14),
    TaskSpec("image", "arabic_chars", rows=700, classes=8, pixels=16),
]
_TEXT = [
    *_originals(
        "text",
        "snips_intents clinc_domains banking77 review_sentences review_site subjectivity "
        "customer_reviews mpqa_polarity sst5 sst2 movie_reviews_long reuters_grain "
        "snippet_source4 tweet_valence_reg amazon_valence_reg",
    ),
    TaskSpec("text", "banking77", classes=12),
    TaskSpec("text", "clinc_domains", rows=600),
    TaskSpec("text", "snips_intents", classes=3, rows=500),
]
_TABULAR = [
    *_originals(
        "tabular",
        "sk_iris sk_wine sk_breast_cancer sk_diabetes_reg letter shuttle vehicle vowel ionosphere "
        "pima_diabetes soybean sonar house_votes spambase musk income_bracket attrition "
        "credit_status hpc_runtime telecom_churn_wa parkinson_speech ames_housing_reg "
        "sacramento_price_reg car_prices_reg meats_nir_fat_reg biomass_hhv_reg adult german_credit "
        "banknote wheat_seeds glass phoneme abalone_reg wine_colour wine_quality_reg image_segment "
        "auto_mpg_reg penguins",
    ),
    TaskSpec("tabular", "ames_housing_reg", scaled=True),
    TaskSpec("tabular", "sk_diabetes_reg", scaled=True),
    TaskSpec("tabular", "letter", classes=6, rows=800),
    TaskSpec("tabular", "adult", rows=500),
]
TASKS: tuple[TaskSpec, ...] = (*_IMAGE, *_TEXT, *_TABULAR)
"""All tasks, 18 of images, 18 of text, 42 of tabular data."""

_RELATED = (
    ("mnist5k", "sklearn_digits", "usps"),
    ("kannada_mnist", "dig_mnist"),
    ("spoken_digit_spec", "speaker_id_spec"),
    ("omniglot_alphabets", "omniglot_latin_greek"),
    ("review_sentences", "review_site"),
    ("customer_reviews", "amazon_valence_reg", "snippet_source4", "tweet_valence_reg"),
    ("sst5", "sst2", "movie_reviews_long", "snippet_source4"),
    ("wine_colour", "wine_quality_reg"),
)
"""Data sets that have rows, or where the rows come from, in common."""


def shares(task: TaskSpec) -> list[str]:
    """Names of the other tasks that have rows or origin in common with `task`.

    A benchmark that leaves the task out leaves these out too.
    """
    groups = (group for group in _RELATED if task.source in group)
    sources = {task.source}.union(*groups)
    return sorted(other.name for other in TASKS if other.source in sources and other != task)


def materialise(task: TaskSpec, data: Path, cache: Path) -> Path:
    """Returns the file of a task's training rows, written to `cache` if it is a variation.

    Args:
        task: Which task.
        data: Folder of the data sets: `<kind>/<source>.npz`.
        cache: Folder for variations.
    """
    original = data / task.kind / f"{task.source}.npz"
    if task.name == task.source:
        return original
    path = cache / f"{task.name}.npz"
    if not path.exists():
        cache.mkdir(exist_ok=True)
        with np.load(original) as file:
            arrays = {k: file[k] for k in file.files if k in ("x_train", "y_train")}
            if "is_categorical" in file.files:
                arrays["is_categorical"] = file["is_categorical"]
        arrays["x_train"], arrays["y_train"] = _vary(task, arrays["x_train"], arrays["y_train"])
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, **arrays)
        partial.rename(path)
    return path


def _vary(task: TaskSpec, x: Any, y: Any) -> tuple[Any, Any]:
    rng = rng_of(f"rows of {task.name}")
    if task.classes is not None:
        kept = np.isin(y, rng.choice(np.unique(y), task.classes, replace=False))
        x, y = x[kept], y[kept]
    if task.rows is not None:
        rows = stratified_rows(y, task.rows, rng)
        x, y = x[rows], y[rows]
    if task.pixels is not None:
        n, side = len(x), x.shape[1] // task.pixels
        x = x.reshape(n, task.pixels, side, task.pixels, side, *x.shape[3:])
        x = x.mean(axis=(2, 4)).round().astype(np.uint8)
    if task.scaled:
        y = ((y - y.mean()) / y.std()).astype(np.float32)
    return x, y
