"""Why a config was proposed: which tasks, trials and decisions speak for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.candidates import Pool
from meta_nni.controllers.observed import Observed
from meta_nni.policy.source import Source
from meta_nni.policy.training import Policy
from meta_nni.space import SearchSpace
from meta_nni.trial import Trial

__all__ = ["explain", "in_words"]

Floats = npt.NDArray[np.float64]

_MAX_TASKS, _MAX_TRIALS, _MAX_DECISIONS = 3, 3, 5


def explain(
    policy: Policy, observed: Observed, chosen: Pool, near: Pool, space: SearchSpace
) -> dict[str, Any]:
    """Returns what `Suggestion.evidence` holds.

    The predicted value is linear in the sources' trials and the run's own values, so that
    these parts are exact: each source adds what its trials add to every prediction, times the
    weight of that. Of its trials those are named without which this would change most.

    Args:
        policy: What was learned from the sources.
        observed: The run so far.
        chosen: The proposed config alone.
        near: Its neighbours, each different in one decision.
        space: The run's space.
    """
    weights, own = observed.posterior.effects(chosen.x)
    count = len(policy.sources)
    by_network = (weights * chosen.features[0])[count:]
    sources = np.append(policy.shares(chosen.x, weights[:count]), by_network)
    changes = policy.influence(chosen.x, weights[:count])
    total = float(np.abs(sources).sum() + np.abs(own).sum()) or 1.0
    return {
        "tasks": [
            _network(float(sources[s]), total)
            if s == count
            else _task(policy.sources[s], changes[s], float(sources[s]), total)
            for s in np.argsort(-np.abs(sources), kind="stable")[:_MAX_TASKS]
        ],
        "own": _largest(observed.trials, own[: len(observed.trials)] / total),
        "decisions": _decisions(observed, chosen, near, space),
        "no_transfer": round(observed.posterior.cold_probability, 4),
    }


def _network(share: float, total: float) -> dict[str, Any]:
    together = "the network, from all tasks"
    return {"task": together, "weight": round(share / total, 4), "trials": []}


def _task(source: Source, changes: Floats, share: float, total: float) -> dict[str, Any]:
    parts = changes * abs(share) / (np.abs(changes).sum() or 1.0)
    return {
        "task": source.name,
        "run_id": source.history.run.run_id,
        "weight": round(share / total, 4),
        "trials": _largest(source.trials, parts / total),
    }


def _largest(trials: tuple[Trial, ...], weights: Floats) -> list[dict[str, Any]]:
    return [
        {
            "number": trials[i].number,
            "value": trials[i].value,
            "weight": round(float(weights[i]), 4),
        }
        for i in np.argsort(-np.abs(weights), kind="stable")[:_MAX_TRIALS]
    ]


def _decisions(
    observed: Observed, chosen: Pool, near: Pool, space: SearchSpace
) -> list[dict[str, Any]]:
    """How much each decision is worth beside the mean of its alternatives."""
    if not near.configs:
        return []
    expected = observed.in_units(observed.posterior.predict(near.x, near.features).mean)
    here = observed.posterior.predict(chosen.x, chosen.features).mean
    effects = observed.in_units(here)[0] - expected
    # Neighbours differ in one decision, and in what hangs on it: the first is the cause.
    changed = np.argmax((near.x != chosen.x).any(axis=2), axis=1)
    values = space.flatten(chosen.configs[0])
    found = [
        {
            "parameter": space.parameters[p].name,
            "value": values.get(space.parameters[p].path),
            "effect": float(f"{effects[changed == p].mean():.3g}"),
        }
        for p in np.unique(changed)
    ]
    return sorted(found, key=lambda one: -abs(one["effect"]))[:_MAX_DECISIONS]


def in_words(evidence: dict[str, Any], num_measured: int) -> str:
    """Says it in one line."""
    if not evidence["tasks"]:
        return f"learned from this run's {num_measured} results"
    parts = []
    for task in evidence["tasks"][:2]:
        part = f"{task['task']} (weight {task['weight']:.2f})"
        if task["trials"]:
            trial = task["trials"][0]
            value = "failed" if trial["value"] is None else f"reached {trial['value']:.4g}"
            part += f": trial {trial['number']} {value}"
        parts.append(part)
    return "; ".join(parts) + f"; weight of no transfer {evidence['no_transfer']:.2f}"
