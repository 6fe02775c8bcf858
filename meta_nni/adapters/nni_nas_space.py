"""NNI's search space JSON as a model space of NNI's NAS, and configs as its samples.

Strategies see a flat list of mutables, one a parameter, labelled with the parameter's name
with dots for slashes, which NNI's labels must not have. A sample gives all of them a value; a
config has the active ones only.
"""

from __future__ import annotations

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import nni
from nni.mutable import Categorical, LabeledMutable, MutableDict, Numerical
from nni.nas.space import BaseModelSpace, ExecutableModelSpace, current_model, model_context

from meta_nni.parameter import Parameter
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.trial import Config

__all__ = ["JsonModelSpace", "Sample", "Samples"]

Sample = dict[str, Any]
"""What NNI's strategies propose: the value of every mutable, by its label."""

_MAX_OPTIONS = 256  # a whole number of so many values is a choice, which every strategy takes


class Samples:
    """Turns samples into configs and back.

    Attributes:
        space: The search space of the configs.
    """

    def __init__(self, space: SearchSpace) -> None:
        labels = [_label(parameter) for parameter in space.parameters]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise SpaceError(
                f"{twice} each label two parameters once slashes are dots; rename one of them"
            )
        self.space = space

    @classmethod
    def of(cls, model_space: ExecutableModelSpace) -> Samples:
        """Reads the model space of a strategy: a `JsonModelSpace`, or any other.

        Raises:
            SpaceError: if a mutable is neither a `Categorical` of JSON values nor a `Numerical`.
        """
        origin: Any = getattr(model_space, "model", None)
        if getattr(origin, "trace_symbol", None) is JsonModelSpace.__wrapped__:
            return cls(origin.get(traceable=False).space)
        spec = {label: _spec(label, each) for label, each in model_space.simplify().items()}
        return cls(SearchSpace.from_nni(spec))

    def to_config(self, sample: Mapping[str, Any]) -> Config:
        """Returns the config that a sample stands for: its active parameters, in JSON's types.

        Raises:
            SpaceError: if an active parameter is missing or has another value than its own.
        """
        assignment: dict[tuple[str, ...], Any] = {}
        for parameter in self.space.parameters:
            if self.space.is_active(parameter, assignment):
                value = sample.get(_label(parameter))
                if not parameter.contains(value):
                    raise SpaceError(
                        f'parameter "{parameter.name}" is {value!r}, expected {parameter.type} of '
                        f"{list(parameter.args)}"
                    )
                assignment[parameter.path] = parameter.coerce(value)
        return self.space.unflatten(assignment)

    def to_sample(self, config: Config) -> Sample:
        """Returns the sample of a config; what is not active has its first or middle value."""
        assignment = self.space.flatten(config)
        return {
            _label(parameter): assignment.get(parameter.path, parameter.from_unit(_MIDDLE))
            for parameter in self.space.parameters
        }

    def mutables(self) -> dict[str, LabeledMutable]:
        """Returns the space as NNI's mutables, by label."""
        return {_label(parameter): _mutable(parameter) for parameter in self.space.parameters}


_MIDDLE = 0.5


@nni.trace
class JsonModelSpace(BaseModelSpace):  # type: ignore[misc]
    """A model space from `search_space.json`, for `NasExperiment` and any of its strategies.

    The evaluator is given one of these with `config` set::

        def evaluate(model):
            nni.report_final_result(train(model.config))

    Attributes:
        space: The search space.
        config: What is to be evaluated; None outside a trial.

    Args:
        spec: NNI's search space JSON, already parsed.

    Raises:
        SpaceError: if it is malformed; names the parameter.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.space = SearchSpace.from_nni(spec)
        samples = Samples(self.space)
        self._mutables = MutableDict(samples.mutables())
        sample = current_model()
        self.config = None if sample is None else samples.to_config(sample)

    def leaf_mutables(self, is_leaf: Callable[[Any], bool]) -> Iterable[LabeledMutable]:
        """See `nni.mutable.Mutable`."""
        return self._mutables.leaf_mutables(is_leaf)  # type: ignore[no-any-return]

    def check_contains(self, sample: Sample) -> Exception | None:
        """See `nni.mutable.Mutable`."""
        return self._mutables.check_contains(sample)  # type: ignore[no-any-return]

    def freeze(self, sample: Sample) -> JsonModelSpace:
        """See `nni.mutable.Mutable`."""
        self.validate(sample)
        with model_context(sample):
            return JsonModelSpace(self.space.to_nni())


def _label(parameter: Parameter) -> str:
    return parameter.name.replace("/", ".")


def _mutable(parameter: Parameter) -> LabeledMutable:
    label, args = _label(parameter), parameter.args
    if parameter.type == "choice":
        return Categorical(args, label=label)
    if parameter.type == "randint":
        low, high = args
        if high - low <= _MAX_OPTIONS:
            return Categorical(range(low, high), label=label)
        return Numerical(low, high - 1, quantize=1, label=label)
    log = "log" in parameter.type
    quantize = args[2] if parameter.type.startswith("q") else None
    if parameter.type.endswith("normal"):
        mu, sigma = args[:2]
        return Numerical(mu=mu, sigma=sigma, log_distributed=log, quantize=quantize, label=label)
    return Numerical(*args[:2], log_distributed=log, quantize=quantize, label=label)


def _spec(label: str, mutable: Any) -> dict[str, Any]:
    """NNI's JSON of one mutable."""
    if type(mutable) is Categorical:
        return {"_type": "choice", "_value": list(mutable.values)}
    if type(mutable) is not Numerical:
        raise SpaceError(
            f'mutable "{label}" is a {type(mutable).__name__}, expected a Categorical or a '
            "Numerical"
        )
    log = "log" if mutable.log_distributed else ""
    step = [] if mutable.quantize is None else [mutable.quantize]
    q = "q" if step else ""
    if mutable.mu is None:
        bounds = [mutable.low, mutable.high]
        return {"_type": f"{q}{log}uniform", "_value": [*bounds, *step]}
    return {"_type": f"{q}{log}normal", "_value": [mutable.mu, mutable.sigma, *step]}
