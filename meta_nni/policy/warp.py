"""Raw values to comparable ones: scores of several tasks never meet unnormalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = ["Warp", "normal_scores"]

Floats = npt.NDArray[np.float64]

_FEW = 4  # values; fewer say little of location, scale and range
_MARGIN = 0.1  # of the range of values seen: how far beyond it a prediction may lie
_LARGEST = 1e250  # raw values beyond it count as it: sums and scales of them stay finite


def normal_scores(values: Floats) -> Floats:
    """Replaces values by the normal quantiles of their ranks; equal values share one.

    `z_i = ndtri((rank_i - 0.5) / T)`, Blom-type scores as in the Gaussian copula
    transfer of Salinas et al. 2020.

    Args:
        values: Shape (T,), higher is better; -inf marks a failure.

    Returns:
        Float64, shape (T,).
    """
    scores: Floats = ndtri((rankdata(values) - 0.5) / len(values))
    return scores


@dataclass(frozen=True, slots=True)
class Warp:
    """A monotone map that centres values and compresses the lower tail logarithmically.

    `u = (y - location) / scale`; `z = u` where u >= -1, else `-(1 + log(-u))`. Unlike
    ranks it keeps distances, which few values already show, and a diverged training
    cannot dominate the fit.

    Attributes:
        location: In raw units.
        scale: In raw units, positive.
        low: No prediction is below this: the smallest value seen, and a margin.
        high: No prediction is above this: the largest value seen, and a margin.
    """

    location: float
    scale: float
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def fit(cls, values: Floats, prior: Warp | None = None) -> Warp:
        """Fits median and median absolute deviation.

        Args:
            values: Finite raw values, higher is better, shape (T,), T >= 0.
            prior: What to expect. Its location and scale stay while there are fewer than
                four values, its range always counts.
        """
        if len(values) == 0:
            return prior or cls(0.0, 1.0)
        values = np.clip(values, -_LARGEST, _LARGEST)
        location, scale = float(np.median(values)), _spread(values)
        if prior is not None and len(values) < _FEW:
            location, scale = prior.location, prior.scale
        smallest, largest = float(values.min()), float(values.max())
        # Two or three values say little about where the next may lie, equal ones nothing.
        margin = (_MARGIN if len(values) >= _FEW else 1.0) * (largest - smallest) or scale
        low, high = smallest - margin, largest + margin
        if prior is not None:
            low, high = min(low, prior.low), max(high, prior.high)
        return cls(location, scale, low, high)

    def forward(self, values: Floats) -> Floats:
        """Warps raw values; any shape, kept."""
        values = np.clip(np.asarray(values, float), -_LARGEST, _LARGEST)
        u = (values - self.location) / self.scale
        return np.where(u >= -1.0, u, -(1.0 + np.log(np.maximum(-u, 1.0))))

    def inverse(self, warped: Floats) -> Floats:
        """Returns raw values, within low and high, of warped ones; any shape, kept."""
        return np.clip(self._unbounded(warped), self.low, self.high)

    def deviation(self, warped: float, std: float) -> float:
        """Half the width of the raw interval of `warped` minus and plus `std`."""
        ends = self._unbounded(np.array([warped - std, warped + std]))
        return min(float(ends[1] - ends[0]), self.high - self.low) / 2.0

    def _unbounded(self, warped: Floats) -> Floats:
        z = np.asarray(warped, float)
        far = -np.exp(np.clip(-z - 1.0, 0.0, 50.0))
        return self.location + self.scale * np.where(z >= -1.0, z, far)


def _spread(values: Floats) -> float:
    """A positive scale that a few far values cannot rule."""
    location = float(np.median(values))
    apart = np.abs(values - location)
    # Half of the values may be (nearly) equal: then the others' deviations have to do,
    # but never the largest ones, which one diverged training would rule.
    scale = max(1.4826 * float(np.median(apart)), 0.1 * _quantile(apart, 0.75))
    # Where most trainings end at chance level, the good ones say how far values reach.
    above = apart[values > location]
    if len(above) > 1:
        scale = max(scale, _quantile(above, 0.5))
    if scale == 0.0 and apart.any():
        scale = _quantile(apart[apart > 0.0], 0.5)
    # Next to the largest deviation a scale must not vanish: dividing by it would overflow.
    return max(scale, 1e-305 * float(apart.max())) or abs(location) or 1.0


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share, method="lower"))
