from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import fill, make_history, make_run, make_trial

from meta_nni.cli import main
from meta_nni.cli.spaces import shipped_spaces
from meta_nni.models import KerasEvaluator
from meta_nni.store import ExperienceStore
from meta_nni.testing import history_of
from meta_nni.trial import History, Result

CONFIG: dict[str, Any] = {
    "block": {"_name": "plain"},
    "kernel_size": 3,
    "stages": 1,
    "blocks_per_stage": 1,
    "filters": 6,
    "filter_growth": 1.0,
    "batch_norm": True,
    "head": {"_name": "global_average"},
    "dropout": 0.0,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 16,
}
BUDGET = {"epochs": 2.0, "samples": 60.0, "balanced": 1.0}
PREDICT = """
import sys, keras, numpy
model, x, out = sys.argv[1:]
numpy.save(out, keras.models.load_model(model).predict(numpy.load(x), verbose=0))
print([name for name in sys.modules if name.split(".")[0] in ("meta_nni", "autokeras")])
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A store with a run of a shipped space, one of another space, and one without a value."""
    opened = ExperienceStore.open(tmp_path / "store.db")
    run = make_run("small", space=shipped_spaces()["cnn_small"])
    history = history_of(run, [({**CONFIG, "filters": 8}, 0.1), (CONFIG, 0.5)])
    told = history.trials[1].with_result(Result(0.5, budget=BUDGET))
    fill(opened, History(run, (history.trials[0], told)))
    fill(opened, make_history("other"), History(make_run("empty")))
    opened.close()
    return str(tmp_path / "store.db")


def test_the_best_config_is_shown(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["best", "small", "--store", path]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "trial 1 of small: val_accuracy 0.5"
    assert json.loads("".join(rest)) == CONFIG


@pytest.fixture
def limited(tmp_path: Path) -> str:
    """A store with two runs that have limits; the second has no trial that keeps them."""
    opened = ExperienceStore.open(tmp_path / "limited.db")
    for name, most in (("few", 8.0), ("none", 1.0)):
        extra = {"objectives": ["value", "latency_ms"], "limits": {"latency_ms": most}}
        pairs = [(0.9, 9.0), (0.8, 5.0), (0.7, 6.0), (0.6, 2.0)]
        trials = [
            make_trial(i).with_result(Result(value, metrics={"latency_ms": ms}))
            for i, (value, ms) in enumerate(pairs)
        ]
        fill(opened, History(make_run(name, extra=extra), tuple(trials)))
    opened.close()
    return str(tmp_path / "limited.db")


def test_the_front_of_several_objectives(limited: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["best", "few", "--store", limited, "--front"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["trial"], each["value"], each["latency_ms"]) for each in lines] == [
        (1, 0.8, 5.0),
        (3, 0.6, 2.0),
    ]
    assert main(["best", "few", "--store", limited, "--front", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"front": lines}


def test_a_run_whose_trials_all_break_its_limits(
    limited: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["best", "none", "--store", limited]) == 1
    assert "no measured trial that keeps its limits among its 4" in capsys.readouterr().err


def test_the_best_config_for_programs(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["best", "other", "--store", path, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["trial"], document["value"], document["seconds"]) == (1, 0.9, 10.0)
    assert "model" not in document


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["smal"], "did you mean 'small'?"),
        (["empty"], "run 'empty' has no measured trial among its 0"),
        (["small", "--export", "m.keras"], "--export and --data belong together"),
        (["small", "--data", "d.npz"], "--export and --data belong together"),
        (["small", "--data", "d.npz", "--export", "m.h5"], "a file that ends in .keras"),
        (["small", "--data", "d.npz", "--export", "no/m.keras"], "its folder does not exist"),
        (["small", "--data", "d.npz", "--export", "{}/m.keras"], "no model of trial 1: "),
        (["other", "--data", "d.npz", "--export", "{}/m.keras"], "only your own code"),
        (["small", "--data", "d.npz", "--export", "{}/m.keras", "--space", "cnn"], "cnn_small"),
    ],
)
def test_refusals_take_one_line(
    path: str,
    tmp_path: Path,
    arguments: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("meta_nni.cli.best.load_keras", lambda: None)
    given = [each.format(tmp_path) for each in arguments]
    assert main(["best", *given, "--store", path]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.count("\n") == 1


def test_the_model_is_trained_as_the_trial_was(
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made: list[KerasEvaluator] = []

    def export(self: KerasEvaluator, config: Any, file: Path, report: Any) -> Result:
        made.append(self)
        report(0, 0.25)
        return Result(0.75, seconds=1.0, metrics={"best_epoch": 0.0})

    monkeypatch.setattr("meta_nni.cli.best.load_keras", lambda: None)
    monkeypatch.setattr(KerasEvaluator, "export", export)
    data = str(tmp_path / "d.npz")
    np.savez(data, x_train=np.zeros((20, 4, 4)), y_train=np.array(["b", "a"] * 10))
    file = str(tmp_path / "m.keras")
    assert main(["best", "small", "--store", path, "--data", data, "--export", file]) == 0
    assert (made[0].space, made[0].epochs, made[0].patience) == ("cnn_small", 2, 2)
    assert (made[0].balanced, made[0].model) == (True, {})
    captured = capsys.readouterr()
    assert captured.err == "epoch 1: 0.2500\n"
    assert captured.out.splitlines()[-2:] == [
        f"{file}: val_accuracy 0.75 on rows that were held out, after epoch 1",
        'classes, in the order of the outputs: ["a", "b"]',
    ]


@pytest.mark.host
@pytest.mark.slow
def test_a_fresh_process_predicts_raw_rows_with_keras_alone(
    path: str, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    y = np.arange(60) % 3
    x = rng.integers(0, 60, (60, 8, 8), np.uint8) + (70 * y[:, None, None]).astype(np.uint8)
    data, file, rows, out = (str(tmp_path / n) for n in ("d.npz", "m.keras", "x.npy", "p.npy"))
    np.savez(data, x_train=x, y_train=y)
    np.save(rows, x)
    export = ["--data", data, "--export", file, "--epochs", "12", "--json"]
    assert main(["best", "small", "--store", path, *export]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    assert (model["classes"], model["file"]) == ([0, 1, 2], file)
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, file, rows, out],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
    )
    assert done.stdout.strip() == "[]"
    predicted = np.load(out)
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-5)
    # The held-out rows are as easy as the others, and are among them.
    assert np.mean(predicted.argmax(axis=1) == y) >= 0.9 * model["value"] > 0.5
