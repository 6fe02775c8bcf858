"""The neural policy: generates configs for a task and predicts what they are worth.

Importing this module loads no TensorFlow, and neither does anything here but `train`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import meta_nni
from meta_nni.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from meta_nni.policy import generator
from meta_nni.policy.decisions import Decisions
from meta_nni.policy.episodes import Lesson
from meta_nni.policy.head import MIN_NOISE, Head, fit_head
from meta_nni.policy.network import NUM_FEATURES, Network, shapes
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import Config, History

if TYPE_CHECKING:
    from meta_nni.policy.pretraining import Progress

__all__ = ["NeuralPolicy"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NeuralPolicy:
    """A network with its head, and what both learned from.

    Attributes:
        network: Encodes configs and generates them.
        head: Exact Bayesian regression on the network's features, in normal scores.
        steps: Steps of training so far.
        seed: Of the latest training.
        trained_on: Number of completed trials of each run it was trained on, by run_id.
        complete: Whether the latest training came to its end; not kept in the checkpoint.
    """

    network: Network
    head: Head
    steps: int = 0
    seed: int = 0
    trained_on: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def space(self) -> SearchSpace:
        """The space whose configs it encodes and generates."""
        return self.network.decisions.space

    @classmethod
    def train(
        cls,
        space: SearchSpace,
        histories: Sequence[History],
        *,
        seed: int,
        start: NeuralPolicy | None = None,
        steps: int | None = None,
        max_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> NeuralPolicy:
        """Trains a policy for a space on earlier runs of any task and space.

        The first training of a process loads TensorFlow, which takes some seconds.
        Without a run that teaches anything the result generates uniformly and predicts 0,
        or is `start`.

        Args:
            space: The space to decide in.
            histories: Earlier runs. The head is fitted to these alone.
            seed: Of the initial weights and the episodes.
            start: Goes on from these weights instead of random ones.
            steps: How many; by default a function of the number of trials.
            max_seconds: An emergency stop, which logs a warning.
            progress: Called with (steps done, all steps, mean loss); logs if None.

        Returns:
            The policy.

        Raises:
            ValueError: if `start` was made for another space.
        """
        decisions = Decisions(space)
        if start is not None and start.network.decisions.fingerprint != decisions.fingerprint:
            raise ValueError(
                f"start was trained for {start.network.decisions.space} or another order of its "
                f"parameters, expected {space}; leave it out to train from random weights"
            )
        origin = start or cls(Network.initial(decisions, seed), _FLAT_HEAD, seed=seed)
        found = [(history, Lesson.from_history(history, decisions)) for history in histories]
        taught = [(history, lesson) for history, lesson in found if lesson is not None]
        if not taught:
            return origin
        from meta_nni.policy.pretraining import num_steps, train_network  # loads TensorFlow

        lessons = [lesson for _, lesson in taught]
        planned = num_steps(lessons) if steps is None else steps
        network, done = train_network(
            origin.network,
            lessons,
            seed=seed,
            steps=planned,
            max_seconds=max_seconds,
            progress=progress,
        )
        counts = {history.run.run_id: len(history.completed) for history, _ in taught}
        return cls(
            network,
            _fit(network, lessons),
            origin.steps + done,
            seed,
            {**origin.trained_on, **counts},
            complete=done == planned,
        )

    def features(self, configs_encoded: Rows, task: Task) -> Floats:
        """Features of N encoded configs (N, P, F) on a task, float64 (N, E)."""
        return self.network.features(configs_encoded, task)

    def sample(
        self, task: Task, count: int, rng: np.random.Generator, temperature: float = 1.0
    ) -> list[Config]:
        """Draws configs for a task, see `generator.sample`."""
        return generator.sample(self.network, task, count, rng, temperature)

    def log_prob(self, configs: Sequence[Config], task: Task) -> Floats:
        """Log probability with which each config is generated for a task, float64 (N,)."""
        decisions = self.network.decisions
        shape = (len(configs), len(decisions.counts), decisions.space.num_features)
        rows = np.zeros(shape, np.float32)
        for row, config in zip(rows, configs, strict=True):
            row[:] = decisions.space.encode(config)
        return generator.log_prob(self.network, rows, task)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint, see `checkpoint.write_checkpoint`."""
        about = {
            "package": meta_nni.__version__,
            "space": self.network.decisions.fingerprint,
            "seed": self.seed,
            "steps": self.steps,
            "trained_on": dict(self.trained_on),
            "precision": self.head.precision,
            "noise": self.head.noise,
        }
        write_checkpoint(path, {**self.network.weights, "head_mean": self.head.mean}, about)

    @classmethod
    def load(cls, path: str | os.PathLike[str], space: SearchSpace) -> NeuralPolicy:
        """Reads a checkpoint of `save` that was trained for `space`.

        Raises:
            CheckpointError: naming the file, what is wrong with it, and what to do.
        """
        arrays, about = read_checkpoint(path)
        decisions = Decisions(space)
        if about.get("space") != decisions.fingerprint:
            raise CheckpointError(
                f"{path} was trained for another search space or another order of its parameters "
                f"({str(about.get('space'))[:8]}), expected {decisions.fingerprint[:8]}; train for "
                "this one with `meta-nni train`"
            )
        expected = {**shapes(decisions), "head_mean": (NUM_FEATURES,)}
        problem = _problem(arrays, expected) or _about_problem(about)
        if problem:
            raise CheckpointError(f"{path} {problem}; train again with `meta-nni train`")
        head = Head(
            arrays.pop("head_mean").astype(np.float64),
            float(about["precision"]),
            float(about["noise"]),
        )
        weights = {name: array.astype(np.float32) for name, array in arrays.items()}
        network = Network(decisions, weights)
        return cls(network, head, about["steps"], about["seed"], about["trained_on"])


_FLAT_HEAD = Head(np.zeros(NUM_FEATURES), 1.0, 0.25)


def _fit(network: Network, lessons: Sequence[Lesson]) -> Head:
    tasks = [(network.features(lesson.rows, lesson.task), lesson.scores) for lesson in lessons]
    shared, own, noise = np.exp(network.weights["scales"].astype(np.float64))
    return fit_head(tasks, (float(shared), float(own), float(noise) + MIN_NOISE))


def _problem(arrays: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> str | None:
    """What is wrong with the arrays of a checkpoint, or None."""
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        wrong = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        return f"has arrays of other shapes than this version expects: {wrong}"
    bad = [n for n, a in arrays.items() if a.dtype.kind != "f" or not np.isfinite(a).all()]
    return f"has arrays that are not all finite floats: {bad}" if bad else None


def _about_problem(about: Mapping[str, Any]) -> str | None:
    """What is wrong with the text of a checkpoint, or None."""
    numbers = [about.get(name) for name in ("precision", "noise")]
    counts = about.get("trained_on")
    whole = [about.get("steps"), about.get("seed")]
    whole += counts.values() if isinstance(counts, dict) else [None]
    if not all(isinstance(n, float) and 0 < n < np.inf for n in numbers):
        return f"has precision and noise {numbers}, expected positive numbers"
    if not all(isinstance(n, int) and n >= 0 for n in whole):
        return "lacks its steps, its seed or the runs it was trained on"
    return None
