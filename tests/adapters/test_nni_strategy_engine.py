"""TunerEngine where the strategy's thread and NNI's meet."""

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import threading

import pytest
from nni.nas.space import SimplifiedModelSpace
from nni_strategies import CHOICES

from meta_nni.adapters.nni_nas_space import JsonModelSpace, Samples
from meta_nni.adapters.nni_strategy_engine import TunerEngine
from meta_nni.space import SearchSpace

CONFIG = {"x": 1, "group/op": {"_name": "b"}}


class Interrupting(dict):
    """Lets another thread in right after it was looked into, as far as locks let it."""

    def __init__(self, items, act):
        super().__init__(items)
        self.thread = threading.Thread(target=act, daemon=True)

    def __contains__(self, key):
        found = super().__contains__(key)
        if self.thread.ident is None:
            self.thread.start()
            self.thread.join(0.3)
        return found


@pytest.mark.parametrize("looked_into", ["_known", "_rerun"])
def test_a_rerun_may_end_while_its_model_is_submitted(looked_into):
    samples = Samples(SearchSpace.from_nni(CHOICES))
    engine, started = TunerEngine(samples), []
    engine.expect([CONFIG])
    engine.offer([0], lambda parameter_id, config: started.append(config))
    between = Interrupting(
        getattr(engine, looked_into), lambda: engine.know(CONFIG, {"default": 0.5})
    )
    setattr(engine, looked_into, between)
    space = SimplifiedModelSpace.from_model(JsonModelSpace(CHOICES))
    model = space.freeze(samples.to_sample(CONFIG))
    engine.submit_models(model)
    between.thread.join(10)
    assert model.metric == 0.5
    assert started == []
