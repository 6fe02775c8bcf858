"""A conditional search space laid flat, for peers whose models know no conditions."""

from __future__ import annotations

from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["Flat"]


class Flat:
    """A conditional space with all branches laid side by side.

    Attributes:
        space: Every parameter of the original, by its whole path, none of them nested.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._original = space
        spec = {p.name: {"_type": p.type, "_value": list(p.args)} for p in space.parameters}
        self.space = SearchSpace.from_nni(spec)

    def flatten(self, config: Config, origin: SearchSpace) -> Config:
        """The flat config of a config of `origin`; what it lacks gets the first option."""
        known = origin.flatten(config)
        flat = {}
        for parameter in self._original.parameters:
            value = known.get(parameter.path)
            if parameter.path not in known or not parameter.contains(value):
                value = next(iter(parameter.values()))
            flat[parameter.name] = value
        return flat

    def unflatten(self, flat: Config) -> Config:
        """The original space's config: what is not active is dropped."""
        return self._original.unflatten({p.path: flat[p.name] for p in self._original.parameters})
