"""Results that reach a tuner by `import_data`: NNI's resume, its reruns, and users' files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from meta_nni.adapters.nni_result import from_final
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.trial import Config, Result

__all__ = ["Imported", "read_import"]


class Imported(NamedTuple):
    """One imported result.

    Attributes:
        config: The config that was measured.
        result: The outcome.
        is_certain: False if only NNI's own records say that this config was measured:
            NNI 3.0 does not bind configs to trials, so they mix up concurrent trials.
            A trial that says what it ran (as `run_trial` does) is certain, and so is an
            entry without a `trialJobId`: a user's, or the result of a rerun.
    """

    config: Config
    result: Result
    is_certain: bool


def read_import(data: Iterable[Any], space: SearchSpace) -> tuple[list[Imported], list[str]]:
    """Reads entries of the form `{"parameter": config, "value": final result}`.

    Args:
        data: The entries, such as those of `nnictl experiment export`.
        space: The space that the configs must belong to.

    Returns:
        The entries that can be used, and what is wrong with each of the others.
    """
    usable, problems = [], []
    for number, entry in enumerate(data, start=1):
        try:
            usable.append(_read(entry, space))
        except ValueError as error:
            problems.append(f"imported result {number} is left out: {error}")
    return usable, problems


def _read(entry: Any, space: SearchSpace) -> Imported:
    if not isinstance(entry, Mapping) or not {"parameter", "value"} <= set(entry):
        raise ValueError(f'it is {entry!r}, expected {{"parameter": config, "value": number}}')
    value = entry["value"]
    if isinstance(value, str):  # as NNI exports it
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise ValueError(f"its value is {value!r}, expected a number or JSON") from None
    result, said = from_final(value)
    config = entry["parameter"] if said is None else said
    try:
        space.validate(config)
    except SpaceError as error:
        raise ValueError(f"its config does not belong to the search space: {error}") from None
    return Imported(config, result, said is not None or "trialJobId" not in entry)
