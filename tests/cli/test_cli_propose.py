from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from histories import SPACE, make_run

from meta_nni import MetaTuner
from meta_nni.cli import main
from meta_nni.store import ExperienceStore
from meta_nni.store_schema import RUN
from meta_nni.testing import history_of


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few trials need no network, so that Keras need not be loaded."""
    monkeypatch.setattr("meta_nni.cli.propose.load_keras", lambda: None)


@pytest.fixture
def data(tmp_path: Path, rng: np.random.Generator) -> str:
    path = tmp_path / "shapes.npz"
    np.savez(path, x_train=rng.normal(size=(40, 3)), y_train=np.arange(40) % 2)
    return str(path)


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SPACE.to_nni()))
    return str(path)


@pytest.fixture
def store(tmp_path: Path, rng: np.random.Generator) -> str:
    """A store with a run in which deeper was better."""
    opened = ExperienceStore.open(tmp_path / "store.db")
    outcomes = [(c, c["block/depth"] / 4) for c in (SPACE.sample(rng) for _ in range(25))]
    history = history_of(make_run("earlier"), outcomes)
    opened.add_run(history.run)
    opened.add_trials("earlier", history.trials)
    opened.close()
    return str(tmp_path / "store.db")


def test_configs_with_what_to_expect(
    data: str, space: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", data, "--space", space, "--store", store, "--knowledge", "none"]
    assert main(["propose", *arguments, "-n", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("shapes: proposed from 25 trials of 1 earlier runs\n")
    assert out.count("  proposal ") == 3
    assert out.count(", in about 1 s\n") == 3
    assert "earlier)" in out


def test_configs_for_programs(
    data: str, space: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", data, "--space", space, "--store", store, "--knowledge", "none"]
    assert main(["propose", *arguments, "--task", "mine", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["sources"]) == ("mine", 1)
    assert document["metafeatures"]["n_train"] == 40
    (proposal,) = document["proposals"]
    assert proposal["config"]["block/depth"] == 3
    low, high = proposal["interval"]
    assert low < proposal["predicted"] < high
    assert proposal["evidence"]["tasks"][0]["run_id"] == "earlier"


def test_a_search_begins_with_the_same_configs(
    data: str, space: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", data, "--space", space, "--store", store, "--knowledge", "none"]
    main(["propose", *arguments, "-n", "2", "--seed", "7", "--json"])
    proposals = json.loads(capsys.readouterr().out)["proposals"]
    tuner = MetaTuner(store=store, knowledge="none", task="shapes", data={"npz": data}, seed=7)
    tuner.update_search_space(SPACE.to_nni())
    assert tuner.generate_multiple_parameters([0, 1]) == [each["config"] for each in proposals]


def test_a_table_is_named_as_in_a_config(
    tmp_path: Path, space: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{i},{i % 7},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "flowers.csv").write_text("\n".join(["length,width,kind", *lines]))
    data = json.dumps({"csv": str(tmp_path / "flowers.csv"), "target": "kind"})
    arguments = ["--data", data, "--space", space, "--store", store, "--knowledge", "none"]
    assert main(["propose", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "flowers"
    assert document["metafeatures"]["n_features"] == 2


def test_nothing_is_stored(data: str, space: str, store: str) -> None:
    main(["propose", "--data", data, "--space", space, "--store", store, "--knowledge", "none"])
    with ExperienceStore.open(store)._database.read() as connection:
        assert [row.run_id for row in connection.execute(RUN.select())] == ["earlier"]


def test_without_a_store_of_ones_own(
    data: str,
    space: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("META_NNI_STORE", str(tmp_path / "none" / "yet.db"))
    assert main(["propose", "--data", data, "--space", space, "--knowledge", "none"]) == 0
    assert "a cold start" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_runs_that_know_too_little_of_the_space_are_not_counted(
    data: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # The knowledge that ships shares an optimizer and a learning rate with this space.
    assert main(["propose", "--data", data, "--space", "mlp", "--store", store]) == 0
    out = capsys.readouterr().out
    assert "earlier runs knows enough of this space; a cold start" in out
    assert "decisions" not in out  # no value is better than another yet


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"--space": "cnn_smal"}, "there is no space 'cnn_smal'; expected 'cnn_small'"),
        ({"--space": "missing.json"}, "missing.json cannot be read: No such file"),
        ({"--space": "{data}"}, "shapes.npz is no search space"),
        ({"--data": "missing.npz"}, "missing.npz"),
        ({"--data": "missing.csv"}, "a table needs the name of its target"),
        ({"--data": "{{csv: 3}}"}, "is not JSON: Expecting property name"),
        ({"--data": '{{"cvs": "a.csv"}}'}, "did you mean 'csv'?"),
        ({"--store": "missing.db"}, "there is no store at "),
        ({"--task": " "}, "task name is empty"),
    ],
)
def test_refusals_take_one_line(
    data: str,
    space: str,
    store: str,
    given: dict[str, str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = {"--data": data, "--space": space, "--store": store} | given
    flat = [part.format(data=data) for pair in arguments.items() for part in pair]
    assert main(["propose", *flat]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.count("\n") == 1


def test_a_space_of_another_kind_of_data_is_refused(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["propose", "--data", data, "--space", "cnn_small"]) == 1
    said = capsys.readouterr().err
    assert "space 'cnn_small' is for image classification and regression, the data is" in said
    assert "tabular classification; use one of ['mlp', 'autokeras_tabular']" in said
