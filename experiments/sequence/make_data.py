"""Writes sequences of real recordings: spoken digits, speakers, and spoken digits in noise.

    python -m experiments.sequence.make_data --data DIR --output FOLDER

DIR holds `spoken_digit_spec.npz` and `speaker_id_spec.npz`: the same 3,000 recordings as
log-mel spectrograms of 32 bands and 32 frames, bytes, with two kinds of labels. In them the
last axis is time: it alone begins and ends in silence, in which recordings are centred. Here
frames are the steps, pairs of neighbouring bands are averaged, and each of the three files has
recordings of its own, a third of all, so that none says anything about another's rows.
`spoken_digits.npz` of this folder was made so.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NAMES", "main", "make"]

Array = npt.NDArray[Any]

NAMES = ("spoken_digits", "speaker_id", "spoken_digits_noisy")
_NOISE = 40.0  # standard deviation of white noise in the log-mel bands, of 255


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the three files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the spectrograms")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new files")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        np.savez_compressed(options.output / f"{name}.npz", **make(name, options.data))


def make(name: str, folder: Path, seed: int = 0) -> dict[str, Array]:
    """Makes one of the data sets.

    Args:
        name: One of `NAMES`.
        folder: Holds the spectrograms.
        seed: Of the choice of recordings, the same for all three, and of the noise.

    Returns:
        The arrays of its file: x_train and x_test float16 [N, 32 frames, 16 bands] of 0 to
        255, y_train and y_test, class_names, kind.
    """
    with np.load(folder / "spoken_digit_spec.npz") as file:
        digits = dict(file)
    with np.load(folder / "speaker_id_spec.npz") as file:
        labels = dict(file) if name == "speaker_id" else digits
        speakers = _by_recording(dict(file)) if name == "speaker_id" else None
    place, rng = NAMES.index(name), np.random.default_rng(seed)
    arrays: dict[str, Array] = {"kind": np.str_("sequence"), "class_names": labels["class_names"]}
    for split in ("train", "test"):
        x, y = digits[f"x_{split}"], digits[f"y_{split}"]
        if speakers is not None:
            y = np.array([speakers[recording.tobytes()] for recording in x])
        rows = np.sort(rng.permutation(len(x))[place :: len(NAMES)])
        noise = np.random.default_rng([seed, len(x)]) if name == "spoken_digits_noisy" else None
        arrays[f"x_{split}"], arrays[f"y_{split}"] = _frames(x[rows], noise), y[rows]
    return arrays


def _by_recording(file: dict[str, Array]) -> dict[bytes, int]:
    pairs = [(file[f"x_{split}"], file[f"y_{split}"]) for split in ("train", "test")]
    return {row.tobytes(): int(y) for x, ys in pairs for row, y in zip(x, ys, strict=True)}


def _frames(spectrograms: Array, noise: np.random.Generator | None) -> Array:
    """Bytes [N, bands, frames] as float16 [N, frames, bands / 2] of whole numbers."""
    bands = spectrograms.astype(np.float64).reshape(len(spectrograms), -1, 2, 32).mean(axis=2)
    if noise is not None:
        bands = np.clip(bands + _NOISE * noise.normal(size=bands.shape), 0, 255)
    return np.round(bands).transpose(0, 2, 1).astype(np.float16)


if __name__ == "__main__":
    main()
