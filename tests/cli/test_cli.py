from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from histories import SPACE, make_history, make_run, make_trial

import meta_nni
from meta_nni.cli import experience, main
from meta_nni.experience import read_experience, write_experience
from meta_nni.store import ExperienceStore
from meta_nni.trial import History


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runs.jsonl.gz"
    low = History(make_run("low", "minimize"), (make_trial(0, 0.25),))
    write_experience([make_history(), low], path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store.db")


def test_import_list_export(
    file: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experience", "import", str(file), "--store", store]) == 0
    assert capsys.readouterr().out == (
        f"{store}: 2 runs and 7 trials added, 0 trials finished, 0 unchanged\n"
    )
    assert main(["experience", "import", str(file), "--store", f"sqlite:///{store}"]) == 0
    assert capsys.readouterr().out.endswith("0 trials finished, 7 unchanged\n")

    assert main(["experience", "list", "--store", store]) == 0
    space = SPACE.fingerprint[:8]
    assert capsys.readouterr().out.splitlines() == [
        "RUN  TASK    SPACE     TRIALS  COMPLETED  FAILED  BEST  ORIGIN",
        f"run  digits  {space}  6       2          1       0.9   imported",
        f"low  digits  {space}  1       1          0       0.25  imported",
    ]

    out = tmp_path / "out.jsonl"
    assert main(["experience", "export", str(out), "--store", store]) == 0
    assert capsys.readouterr().out == f"{out}: 2 runs written\n"
    assert list(read_experience(out)) == list(read_experience(file))
    assert main(["experience", "export", str(out), "--store", store, "--run", "low"]) == 0
    assert [history.run.run_id for history in read_experience(out)] == ["low"]


def test_list_for_programs(file: Path, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    ExperienceStore.open(store).import_(file)
    assert main(["experience", "list", "--store", store, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [(run["run_id"], run["best"]) for run in runs] == [("run", 0.9), ("low", 0.25)]


def test_list_of_the_default_store(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("META_NNI_STORE", store)
    ExperienceStore.open(store).add_run(make_run("mine"))
    assert main(["experience", "list"]) == 0
    assert "mine  digits" in capsys.readouterr().out


class TestListOfWhatIsShipped:
    @pytest.fixture(autouse=True)
    def shipped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        source = {"name": "usps", "licence": "CC0-1.0", "origin": "made here"}
        runs = [make_run("known", extra={"source": source}), make_run("bare", recipe=None)]
        trials = make_history().trials
        monkeypatch.setattr(
            experience, "shipped_knowledge", lambda: [History(run, trials) for run in runs]
        )

    def test_for_people(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["experience", "list", "--knowledge"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "TASK    KIND  ROWS  FAILED  BEST  METRIC        RECIPE    DATA SET",
            "digits  -     6     1       0.9   val_accuracy  image-v1  usps",
            "digits  -     6     1       0.9   val_accuracy  -         -",
            "2 runs, 12 rows, 2 of them failures; licences with --json",
        ]

    def test_for_programs(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["experience", "list", "--knowledge", "--json"]) == 0
        known, bare = json.loads(capsys.readouterr().out)
        assert (known["run_id"], known["trials"], known["failed"]) == ("known", 6, 1)
        assert (known["licence"], known["data_origin"]) == ("CC0-1.0", "made here")
        assert (bare["run_id"], bare["data_set"]) == ("bare", None)


def test_names_cannot_break_the_table(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    ExperienceStore.open(store).add_run(make_run("a\nb\x1b[2J"))
    main(["experience", "list", "--store", store])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["import", "{dir}/missing", "--store", "{dir}/a.db"], "missing: cannot be read: No such"),
        (["import", "{dir}/bad", "--store", "{dir}/a.db"], "bad, line 1: format: got nothing"),
        (["import", "{dir}/bad", "--store", "mysql://x"], "URL begins with 'mysql'"),
        (["list", "--store", "{dir}/missing.db"], "there is no store at {dir}/missing.db"),
        (["list", "--store", "{dir}/bad"], "{dir}/bad: file is not a database"),
        (["export", "{dir}/o", "--store", "{dir}/s.db", "--run", "x"], "run 'x' is not in this"),
        (["export", "{dir}/x/o", "--store", "{dir}/s.db"], "{dir}/x/o: cannot be written: No such"),
    ],
)
def test_refusals_take_one_line(
    tmp_path: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").write_text("{}" + " " * 1000)
    ExperienceStore.open(tmp_path / "s.db")
    assert main(["experience", *(part.format(dir=tmp_path) for part in arguments)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("meta-nni: ")
    assert expected.format(dir=tmp_path) in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["experience"],
        ["experience", "import"],
        ["experience", "list", "--store", "x", "--knowledge"],
        ["explain"],
        ["explain", "run", "--trial", "first"],
        ["train"],
        ["train", "--space", "x", "--seconds", "0"],
        ["train", "--space", "x", "--seconds", "soon"],
        ["train", "--space", "x", "--seed", "-1"],
        ["train", "--space", "x", "--knowledge", "all"],
        ["sing"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: meta-nni")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{meta_nni.__version__}\n"


def test_register(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = type(sys)("meta_nni.adapters.nni_register")
    calls: list[str] = []
    module.NAME, module.register = "MetaNAS", lambda: calls.append("called")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert main(["register"]) == 0
    assert calls == ["called"]
    assert capsys.readouterr().out == "registered with NNI: tuner: {name: MetaNAS}\n"


def test_an_interrupt_is_no_traceback(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ExperienceStore, "open", interrupted)
    assert main(["experience", "list", "--store", store]) == 130
    assert capsys.readouterr().err == "meta-nni: interrupted\n"


@pytest.mark.host
def test_a_reader_that_stops_early(store: str) -> None:
    opened = ExperienceStore.open(store)
    for number in range(3):
        opened.add_run(make_run(f"run-{number}"))
    read_end, write_end = os.pipe()
    os.close(read_end)
    code = "import sys; from meta_nni.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "experience", "list", "--store", store]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
