"""The meta-learned controller: earlier tasks propose, this run's results correct them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from meta_nni.controllers.aims import Aims, AimsNow
from meta_nni.controllers.candidates import Candidates, Pool
from meta_nni.controllers.encoded import EncodedTrials
from meta_nni.controllers.evidence import explain, in_words
from meta_nni.controllers.feasibility import Count
from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.controllers.fresh import draw_fresh
from meta_nni.controllers.observed import Observed
from meta_nni.policy.cost import CostModel, Seconds, last_timed
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.policy.posterior import expected_improvement
from meta_nni.policy.refresh import refresh
from meta_nni.policy.training import train
from meta_nni.trial import Config, History, Run, Suggestion

__all__ = ["MetaController"]

Floats = npt.NDArray[np.float64]

_INITIAL = 3  # random trials of a run without sources, before its own model decides
_NUM_SCREENED = (700, 300)  # candidates that are weighed: the best by a first look, others
_NUM_EXPLOITING = 5  # first trials after sparse sources, which explore nothing
_NUM_REFINED = 2  # rounds in which the neighbours of the best candidate are weighed, too
# What looks best looks better than it is (the optimizer's curse, Smith & Winkler 2006): about
# a proposal predictions err more than elsewhere. The factor was chosen by looking at the
# coverage on the tables of experiments/transfer_benchmark; no other data has checked it.
_CURSE = 1.2
_NEARLY = 0.05  # of candidates within this share of the best, the cheapest is proposed

# Threads of linear algebra only wait for one another while trials use every core, and
# their number changes rounding, so that a seed would give other proposals elsewhere.
_ONE_THREAD = {"limits": 1, "user_api": "blas"}


class MetaController:
    """Proposes by expected improvement under a posterior over sources and a cold model.

    The first trial already comes from other tasks; every result changes the next
    proposal at once (see `policy.posterior`). Where the other tasks have few trials each, the
    first five explore nothing: they have the best predicted value, and as long as there is
    a choice they are among what was good there; not where the run has aims. Each eighth trial
    asks the cold model alone, so that sources that mislead are found out. Without sources it
    is Bayesian optimisation from three random trials on. Of about equally promising configs
    the one that is expected to be cheapest is proposed. Short trainings count as what they
    would have become, see `fidelity`. What a run asks for besides its value, limits and
    several objectives, is heeded as told in `aims`.

    Args:
        checkpoint: Where the network is kept that learns from all earlier runs together; it
            learns again, for some seconds, when there are results that it has not seen.
            None does without, and without TensorFlow.
        only: The only configs that may be proposed, where others cannot be measured.
        per_second: Whether to maximise expected improvement per predicted second
            (Snoek et al. 2012, section 3.2) instead of expected improvement.
        count: Counts the parameters of a config's model by building it: then no config that
            breaks a limit on them is proposed. None learns them from what trials measure.
    """

    def __init__(
        self,
        checkpoint: Path | None = None,
        *,
        only: Iterable[Config] | None = None,
        per_second: bool = False,
        count: Count | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._only = None if only is None else list(only)
        self._per_second = per_second
        self._count = count
        self._learned_for: Run | None = None

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Trains the policy on the sources."""
        seed = int(rng.integers(2**31))
        sources = [at_full_budget(source) for source in sources]

        def network(histories: Sequence[History]) -> NeuralPolicy | None:
            if self._checkpoint is None:
                return None
            return refresh(self._checkpoint, run.space, histories, seed)

        with threadpool_limits(**_ONE_THREAD):
            self._policy = train(run, sources, rng, network)
            self._candidates = Candidates(run.space, self._policy, rng, self._only)
            self._aims = Aims.of(run, sources, rng, self._count)
        self._encoded = EncodedTrials(run.space, self._policy)
        self._cost = CostModel(
            self._policy.sources, self._policy.weights[: len(self._policy.sources)]
        )
        self._learned_for = run

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        if self._learned_for is None:
            # A stream of its own, so that `rng` gives the same proposals to a trained policy.
            self.learn(history.run, (), rng.spawn(1)[0])
        with threadpool_limits(**_ONE_THREAD):
            return self._propose(history, count, rng)

    def _propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        observed = Observed.of(history, self._policy, self._encoded)
        aims = None if self._aims is None else self._aims.at(history, rng)
        seconds = self._seconds(history)
        seen = self._encoded.keys(history.trials)
        suggestions: list[Suggestion] = []
        for number in range(len(history.trials), len(history.trials) + count):
            chosen = self._choose(history, observed, aims, seconds, number, seen, rng)
            if chosen is None:
                break
            seen |= set(chosen.keys)
            suggestions.append(self._suggest(history, observed, chosen, seconds, number, rng))
            if len(suggestions) < count:
                observed = observed.believing(chosen.x, chosen.features)
                aims = None if aims is None else aims.believing(chosen)
        return suggestions

    def _choose(
        self,
        history: History,
        observed: Observed,
        aims: AimsNow | None,
        seconds: Seconds | None,
        number: int,
        seen: set[str],
        rng: np.random.Generator,
    ) -> Pool | None:
        """The next config, as a pool of one; None if there is none left."""
        is_first = not self._policy.sources and number < _INITIAL
        if is_first and self._only is None and aims is None:
            config = draw_fresh(history.run.space, set(seen), rng)
            return None if config is None else self._candidates.encoded([config], set())
        starts = aims is None and number < _NUM_EXPLOITING
        known = self._candidates.measured(seen) if starts else None
        if known is not None:
            return _cheapest(known, self._score(observed, None, seconds, known, number), seconds)
        leaders = history if aims is None else aims.leaders(rng)
        pool = self._candidates.fresh(leaders, seen, rng)
        if pool is None:
            return None
        if aims is not None:
            pool, aims = aims.narrowed(pool, observed)
        if is_first:
            if aims is None:
                return pool.take([int(rng.integers(len(pool.configs)))])
            return aims.first_allowed(pool.take(rng.permutation(len(pool.configs))))
        pool = _screened(pool, observed, aims, rng)
        score = self._score(observed, aims, seconds, pool, number)
        taken = seen | set(pool.keys)
        for _ in range(_NUM_REFINED):
            best = pool.configs[int(np.argmax(score))]
            near = self._candidates.near([best], taken, rng)
            near = near if aims is None else aims.likely(near)
            if not near.configs:
                break
            more = self._score(observed, aims, seconds, near, number)
            pool, score = pool + near, np.concatenate([score, more])
        chosen = _cheapest(pool, score, seconds)
        if aims is None or aims.allows(chosen):
            return chosen
        return aims.first_allowed(pool.take(np.argsort(-score, kind="stable")))

    def _score(
        self,
        observed: Observed,
        aims: AimsNow | None,
        seconds: Seconds | None,
        pool: Pool,
        number: int,
    ) -> Floats:
        """What is to be maximised for trial `number`, shape (N,)."""
        cold = len(self._policy.sources) > 0 and _explores(number)
        prediction = observed.posterior.predict(pool.x, pool.features, cold=cold)
        z = observed.evidence.z
        if aims is not None:
            gain = aims.gain(prediction, observed, pool)
        elif len(z) == 0 or (self._policy.is_sparse and number < _NUM_EXPLOITING):
            return prediction.mean
        else:
            gain = expected_improvement(prediction, float(z.max()))
        return gain / seconds(pool.x) if self._per_second and seconds is not None else gain

    def _seconds(self, history: History) -> Seconds | None:
        timed, logs = last_timed(history.trials)
        return self._cost.after(self._encoded(timed)[0], logs)

    def _suggest(
        self,
        history: History,
        observed: Observed,
        chosen: Pool,
        seconds: Seconds | None,
        number: int,
        rng: np.random.Generator,
    ) -> Suggestion:
        prediction = observed.posterior.predict(chosen.x, chosen.features)
        mean = std = None
        if observed.measurable:
            mean = observed.sign * float(observed.in_units(prediction.mean)[0])
            std = observed.warp.deviation(
                float(prediction.mean[0]), _CURSE * float(prediction.std[0])
            )
        space = history.run.space
        # A stream of its own: explaining does not change what is proposed.
        near = self._candidates.encoded(space.neighbours(chosen.configs[0], rng.spawn(1)[0]), set())
        evidence = explain(self._policy, observed, chosen, near, space)
        warm = len(self._policy.sources) > 0
        cold_start = not warm and number < _INITIAL
        explored = cold_start or (warm and _explores(number))
        return Suggestion(
            chosen.configs[0],
            "exploration" if explored else _SOURCES[bool(observed.trials)],
            mean,
            std,
            None if seconds is None else float(seconds(chosen.x)[0]),
            "drawn at random: nothing is known yet"
            if cold_start
            else in_words(evidence, len(observed.trials)),
            evidence,
        )


_SOURCES = {False: "zero-shot", True: "adapted"}


def _explores(number: int) -> bool:
    """Whether trial `number` is kept for the cold model."""
    return number % 8 == 7


def _cheapest(pool: Pool, score: Floats, seconds: Seconds | None) -> Pool:
    """The best candidate; among about equals the one that is expected to be cheapest."""
    if seconds is None:
        return pool.take([int(np.argmax(score))])
    enough = score.max() - _NEARLY * float(score.max() - np.median(score))
    return pool.take([int(np.argmin(np.where(score >= enough, seconds(pool.x), np.inf)))])


def _screened(
    pool: Pool, observed: Observed, aims: AimsNow | None, rng: np.random.Generator
) -> Pool:
    """The candidates worth a full look: the best by a cheap one, and some at random."""
    best, others = _NUM_SCREENED
    if len(pool.configs) <= best + others:
        return pool
    look = observed.posterior.screen(pool.x, pool.features)
    ranked = np.argsort(-(look if aims is None else aims.look(pool, observed)), kind="stable")
    return pool.take([*ranked[:best], *rng.choice(ranked[best:], others, replace=False)])
