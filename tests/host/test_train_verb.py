"""`meta-nni train` with the real network."""

import json
from pathlib import Path

import numpy as np
import pytest
from histories import SPACE, fill, make_run

from meta_nni.cli import main
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.store import ExperienceStore
from meta_nni.store_checkpoints import checkpoint_path
from meta_nni.testing import history_of

pytestmark = pytest.mark.host


@pytest.fixture
def store(tmp_path, rng):
    """Two runs of ten trials: the rate decides."""
    path = tmp_path / "store.db"
    opened = ExperienceStore.open(path)
    for name in ("a", "b"):
        configs = [SPACE.sample(rng) for _ in range(10)]
        trials = [(config, -abs(np.log10(config["rate"]) + 2)) for config in configs]
        fill(opened, history_of(make_run(name, task=name), trials))
    opened.close()
    return path


def test_it_writes_a_checkpoint_and_goes_on_from_it(store, tmp_path, capsys):
    space = tmp_path / "space.json"
    space.write_text(json.dumps(SPACE.to_nni()))
    arguments = ["train", "--store", str(store), "--space", str(space), "--knowledge", "none"]
    path = checkpoint_path(store, SPACE)
    steps = []
    for more in ([], [], ["--fresh"]):
        assert main([*arguments, *more]) == 0
        captured = capsys.readouterr()
        assert captured.out.splitlines() == [
            "trained on 20 measured trials of 2 runs: a (10), b (10)",
            str(path),
        ]
        assert captured.err == ""  # no terminal, so no progress and no greetings
        policy = NeuralPolicy.load(path, SPACE)
        assert policy.trained_on == {"a": 10, "b": 10}
        steps.append(policy.steps)
    assert steps[0] > 0
    assert steps[1] == 2 * steps[0]
    assert steps[2] == steps[0]
    assert [file.name for file in Path(path.parent).iterdir()] == [path.name]

    path.write_bytes(path.read_bytes()[:-100])
    assert main(arguments) == 1
    assert f"{path} is no checkpoint" in capsys.readouterr().err
