"""What a run has shown so far, ready for deciding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.encoded import EncodedTrials
from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.policy.posterior import Evidence, Posterior
from meta_nni.policy.training import Policy
from meta_nni.policy.warp import Warp
from meta_nni.trial import History, Trial

__all__ = ["Observed"]

Floats = npt.NDArray[np.float64]

_FAILURE_GAP = 0.5  # a failure counts as this much below the worst value, warped


@dataclass(frozen=True)
class Observed:
    """A run's results, warped, and the posterior they give.

    Failures count as bad results, pending trials as having reached what was predicted of
    them, so that a batch spreads (kriging believer, Ginsbourger et al. 2010). Short
    trainings count as what they would have become, see `fidelity`.

    Attributes:
        policy: What was learned from the sources.
        trials: The trials that ended.
        evidence: Their arrays, and after them those of the pending ones.
        warp: From raw values, turned so that higher is better, to warped ones.
        sign: 1 if higher raw values are better, else -1.
        measurable: Whether anything is known about the units of the values.
        posterior: What all of this says.
    """

    policy: Policy
    trials: tuple[Trial, ...]
    evidence: Evidence
    warp: Warp
    sign: float
    measurable: bool
    posterior: Posterior

    @classmethod
    def of(cls, history: History, policy: Policy, encoded: EncodedTrials) -> Observed:
        """Reads a history."""
        ended = tuple(t for t in history.trials if t.state in ("completed", "failed"))
        sign = float(history.run.task.sign)
        completed = at_full_budget(history).completed
        values = np.array([sign * (trial.value or 0.0) for trial in completed], float)
        warp = Warp.fit(values, policy.prior)
        warped = warp.forward(values)
        worst = (float(warped.min()) if len(warped) else -1.0) - _FAILURE_GAP
        z = np.full(len(ended), worst)
        z[[trial.value is not None for trial in ended]] = warped
        evidence = Evidence(*encoded(ended), z)
        measurable = len(values) > 0 or policy.prior is not None
        posterior = Posterior(policy.kernels, policy.weights, evidence)
        found = cls(policy, ended, evidence, warp, sign, measurable, posterior)
        for x, features in zip(*encoded(history.pending), strict=True):
            found = found.believing(x[None], features[None])
        return found

    def believing(self, x: Floats, features: Floats) -> Observed:
        """Returns what would be known if a config (1, P, F) reached its predicted value."""
        z = self.posterior.predict(x, features).mean
        old = self.evidence
        evidence = Evidence(
            np.concatenate([old.x, x]),
            np.concatenate([old.features, features]),
            np.concatenate([old.z, z]),
        )
        posterior = Posterior(self.policy.kernels, self.policy.weights, evidence)
        return Observed(
            self.policy, self.trials, evidence, self.warp, self.sign, self.measurable, posterior
        )

    @property
    def believed(self) -> Floats:
        """What the trials that are still awaited are taken to reach, warped, in their order."""
        return self.evidence.z[len(self.trials) :]

    def in_units(self, warped: Floats) -> Floats:
        """Raw values, higher is better, of warped ones; as they are if nothing is known."""
        return self.warp.inverse(warped) if self.measurable else warped
