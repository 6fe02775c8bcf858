"""`meta-nni experience copy`, and `export --hash-names`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from histories import fill, make_config, make_history, make_run, make_trial
from postgresql_server import new_database

from meta_nni.cli import main
from meta_nni.experience import read_experience
from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Result


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.host)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/target.db"
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def source(tmp_path: Path) -> Iterator[ExperienceStore]:
    """Two runs, one of them searched here and one from a file."""
    store = ExperienceStore.open(tmp_path / "source.db")
    store.add_run(make_run("own"), seed=2**100, controller="MetaController")
    store.add_trials("own", make_history("own").trials)
    store.add_run(make_run("imported", "minimize"), origin="imported")
    yield store
    store.close()


@pytest.fixture
def opened(target: str) -> Iterator[Callable[[], ExperienceStore]]:
    stores: list[ExperienceStore] = []

    def another() -> ExperienceStore:
        stores.append(ExperienceStore.open(target))
        return stores[-1]

    yield another
    for store in stores:
        store.close()


def copy(source: ExperienceStore, target: str) -> int:
    return main(["experience", "copy", "--from", source.name, "--to", target])


def test_a_copy_is_the_same_store(
    source: ExperienceStore,
    target: str,
    opened: Callable[[], ExperienceStore],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert copy(source, target) == 0
    done = "2 runs and 6 trials added, 0 trials finished, 0 unchanged\n"
    assert capsys.readouterr().out == f"{opened().name}: {done}"
    store = opened()
    assert store.runs() == source.runs()
    assert store.history("own") == source.history("own")
    assert (store.seed("own"), store.seed("imported")) == (2**100, None)
    source.export(tmp_path / "one.jsonl")
    store.export(tmp_path / "other.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()


def test_a_copy_again_adds_what_is_new(
    source: ExperienceStore,
    target: str,
    opened: Callable[[], ExperienceStore],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy(source, target)
    source.add_trials("own", [make_trial(6, 0.25)])
    source.finish("own", "5", Result(0.75))
    source.add_run(make_run("third"))
    capsys.readouterr()
    for expected in (
        "1 runs and 1 trials added, 1 trials finished, 5 unchanged\n",
        "0 runs and 0 trials added, 0 trials finished, 7 unchanged\n",
    ):
        assert copy(source, target) == 0
        assert capsys.readouterr().out.endswith(expected)
    assert opened().history("own") == source.history("own")


def test_a_copy_that_differs_is_refused_whole(
    source: ExperienceStore,
    target: str,
    opened: Callable[[], ExperienceStore],
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = opened()
    fill(store, History(make_run("imported", "minimize"), (make_trial(0, 0.25),)))
    source.add_trials("imported", [make_trial(0, 0.5)])
    assert copy(source, target) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "trial '0' of run 'imported' came with value 0.5" in captured.err
    assert [run.run_id for run in store.runs()] == ["imported"]


def test_a_large_store_is_copied(
    source: ExperienceStore, target: str, opened: Callable[[], ExperienceStore]
) -> None:
    many = tuple(
        make_trial(i, i / 700, config=make_config(rate=(i + 1) / 1000)) for i in range(700)
    )
    fill(source, History(make_run("many"), many))
    assert copy(source, target) == 0
    assert opened().history("many").trials == many


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from", "{dir}/none.db", "--to", "{dir}/t.db"], "there is no store at {dir}/none.db"),
        (["--from", "{dir}/source.db", "--to", "mysql://x"], "URL begins with 'mysql'"),
        (["--from", "{dir}/source.db", "--to", "postgresql://127.0.0.1:1/x"], "refused"),
    ],
)
def test_a_copy_that_cannot_be(
    source: ExperienceStore,
    tmp_path: Path,
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["experience", "copy", *(part.format(dir=tmp_path) for part in arguments)]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert expected.format(dir=tmp_path) in captured.err


def test_an_export_with_hashed_names(
    source: ExperienceStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, out = tmp_path / "team.key", tmp_path / "shared.jsonl"
    hashing = ["--store", source.name, "--hash-names", "--key", str(key)]
    assert main(["experience", "export", str(out), *hashing]) == 0
    assert capsys.readouterr().out == f"{out}: 2 runs written\n"
    text = out.read_text()
    assert "digits" not in text
    assert '"own"' not in text
    first, second = read_experience(out)
    assert first.run.task.name == second.run.task.name  # one task stays one task
    assert len(first.completed) == 2
    main(["experience", "export", str(tmp_path / "again.jsonl"), *hashing, "--run", "own"])
    assert next(read_experience(tmp_path / "again.jsonl")) == first


def test_the_key_is_in_the_users_data_folder(
    source: ExperienceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    out = tmp_path / "shared.jsonl"
    assert main(["experience", "export", str(out), "--store", source.name, "--hash-names"]) == 0
    assert len((tmp_path / "data" / "meta_nni" / "names.key").read_text()) == 64
    assert json.loads(out.read_text().splitlines()[0])["run_id"].startswith("run-")


def test_a_key_without_hashing_is_refused(
    source: ExperienceStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shared.jsonl"
    refused = ["experience", "export", str(out), "--store", source.name, "--key", "x"]
    assert main(refused) == 1
    assert "--key came without --hash-names" in capsys.readouterr().err
    assert not out.exists()
