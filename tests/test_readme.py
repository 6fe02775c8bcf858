"""What the README and the experiments' READMEs print: run, or checked by what would read it."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import re
import shlex
from pathlib import Path
from unittest import mock

import nni
import numpy as np
import pytest
from nni.experiment.config import ExperimentConfig

import meta_nni
from meta_nni.cli import main
from meta_nni.cli.explain import _HEADINGS
from meta_nni.store import ExperienceStore

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("docs/pages/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/*.md")])
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in [README, *PAGES]}
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(TEXTS["README.md"])
PROGRAMS = ("meta-nni", "python", "make", "nnictl")
PLACEHOLDERS = re.compile(r"^[A-Z_]+(\.\w+)?$|^@|\.peers|my_trial")


def block(kind, words=""):
    """The README's one block of a kind that has these words."""
    (found,) = [text for each, text in BLOCKS if each == kind and words in text]
    return found


def save_rows(path):
    """What the README calls train.npz, only smaller."""
    x = np.random.default_rng(0).random((60, 8, 8), "float32")
    np.savez(path, x_train=x, y_train=np.arange(60) % 3)


def commands(text):
    """Every command that a page prints: in its blocks, indented, or in line."""
    lines = [line for _, block in BLOCK.findall(text) for line in block.splitlines()]
    lines += re.findall(r"^    (\S.*(?:\\\n.*)*)$", text, re.MULTILINE)
    lines += [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]
    for line in lines:
        with contextlib.suppress(ValueError):  # prose with an apostrophe, or code
            words = shlex.split(line.replace("\\\n", " "), comments=True)
            words = words[3:] if words[:1] == ["nice"] else words
            if len(words) > 1 and words[0] in PROGRAMS:
                yield words


COMMANDS = sorted({tuple(words) for text in TEXTS.values() for words in commands(text)})


def of(program):
    return [pytest.param(words, id=" ".join(words)) for words in COMMANDS if words[0] == program]


def test_the_pages_print_commands_of_each_program():
    assert {words[0] for words in COMMANDS} == set(PROGRAMS)
    assert len(COMMANDS) > 50


@pytest.mark.parametrize("words", of("meta-nni"))
def test_a_verb_has_the_options_that_are_printed(words):
    said = io.StringIO()
    with pytest.raises(SystemExit) as exited, contextlib.redirect_stdout(said):
        main([*words[1 : 3 if words[1] == "experience" else 2], "--help"])
    assert exited.value.code == 0
    for option in [word for word in words if word.startswith("--")]:
        assert re.search(rf"{option}\b", said.getvalue()), option


@pytest.mark.parametrize("words", of("python"))
def test_a_script_has_the_options_that_are_printed(words):
    words = [*words[1:]]
    if words[:2] == ["-m", "venv"] or PLACEHOLDERS.search(words[0]):
        return
    module = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
    source = (ROOT / module).read_text("utf-8")
    for option in [word for word in words if word.startswith("--")]:
        assert f'"{option}"' in source, option


@pytest.mark.parametrize("words", of("make"))
def test_make_has_the_target(words):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[1] in targets


CONFIGS = sorted({word for words in COMMANDS for word in words if word.endswith("/config.yml")})


def test_the_pages_print_configs():
    assert len(CONFIGS) > 5


@pytest.mark.parametrize("path", CONFIGS)
def test_nnictl_gets_a_config_that_nni_accepts(path):
    config = ExperimentConfig.load(ROOT / path).canonical_copy()
    assert config.trial_command
    assert config.training_service.platform == "local"


def test_the_readmes_experiment_is_one_that_nni_and_the_tuner_accept(tmp_path, monkeypatch):
    (tmp_path / "config.yml").write_text(block("yaml"))
    (tmp_path / "search_space.json").write_text('{"x": {"_type": "choice", "_value": [1]}}')
    config = ExperimentConfig.load(tmp_path / "config.yml").canonical_copy()
    assert config.tuner.class_name == "meta_nni.MetaTuner"
    monkeypatch.setenv("META_NNI_STORE", str(tmp_path / "store.db"))
    save_rows(tmp_path / "train.npz")
    monkeypatch.chdir(tmp_path)
    meta_nni.MetaTuner(**config.tuner.class_args)


def test_the_table_of_class_args_is_whole():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", TEXTS["README.md"], re.MULTILINE)
    printed = [name for row in rows for name in re.findall(r"\w+", row)]
    taken = set(inspect.signature(meta_nni.MetaTuner).parameters)
    assert taken - {"space", "unknown"} <= set(printed)  # `space` is told below the table
    assert "`space: cnn_small`" in " ".join(TEXTS["README.md"].split())


def test_the_readmes_experience_is_imported(tmp_path):
    (tmp_path / "mine.jsonl").write_text(block("json"))
    store = ExperienceStore.open(tmp_path / "store.db")
    store.import_(tmp_path / "mine.jsonl")
    assert [trial.value for trial in store.history("r1").trials] == [0.93]
    assert json.loads(block("json"))["task"]["name"] == store.history("r1").run.task.name


def test_the_readmes_line_of_explain_is_what_explain_prints():
    printed = next(text for _, text in BLOCKS if text.startswith("TRIAL"))
    assert tuple(re.split(r"  +", printed.splitlines()[0])) == _HEADINGS


@pytest.mark.host
def test_the_readmes_trial_trains_and_reports(tmp_path, monkeypatch):
    save_rows(tmp_path / "train.npz")
    monkeypatch.chdir(tmp_path)
    space = json.loads((ROOT / "search_spaces" / "cnn_small.json").read_text())
    config = meta_nni.SearchSpace.from_nni(space).sample(np.random.default_rng(0))
    channel = mock.Mock()
    channel.receive_parameter.return_value = {"parameter_id": 0, "parameters": config}
    monkeypatch.setattr(nni.runtime.trial_command_channel, "_channel", channel)
    monkeypatch.setattr(nni.trial, "_trial_id", "abcde")
    monkeypatch.setattr(nni.trial, "_params", None)
    monkeypatch.setattr(nni.trial, "_intermediate_seq", 0)
    exec(compile(block("python", "run_trial"), "trial.py", "exec"), {})
    *curve, final = [call.kwargs["value"] for call in channel.send_metric.call_args_list]
    assert final["default"] == max(curve) > 0
    assert final["config"] == config


@pytest.mark.host
@pytest.mark.slow
def test_the_readmes_one_shot_search_runs_as_printed_but_shorter(monkeypatch, capsys):
    text = block("python", "DartsSearch").replace("epochs=20, samples=1000", "epochs=3, samples=64")
    text = text.replace("epochs=20)", "epochs=1)")
    assert (text.count("epochs=3"), text.count("epochs=1")) == (1, 1)  # else it takes many minutes
    monkeypatch.chdir(ROOT)
    exec(compile(text, "darts.py", "exec"), {})
    assert "'accuracy'" in capsys.readouterr().out


@pytest.mark.host
def test_the_autokeras_readmes_limits_are_taken(tmp_path, monkeypatch):
    import autokeras as ak

    monkeypatch.chdir(tmp_path)
    page = TEXTS["experiments/autokeras/README.md"]
    ((_, text),) = [each for each in BLOCK.findall(page) if each[0] == "python"]
    made = []

    class Kept(meta_nni.MetaAutoTuner):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    exec(text, {"ak": ak, "MetaAutoTuner": Kept})
    (tuner,) = made
    assert (tuner._trial_seconds, tuner._total_seconds) == (60, 1800)
    assert tuner.max_model_size == 2_000_000
    assert tuner._arguments.task.name == "reviews"


def test_every_python_block_of_the_readmes_is_run_by_a_test():
    known = ["run_trial", "MetaAutoTuner", "DartsSearch"]  # the second: test_autokeras_search
    texts = [text for kind, text in BLOCKS if kind == "python"]
    assert [sum(word in text for word in known) for text in texts] == [1, 1, 1]
    others = {
        name
        for name, text in TEXTS.items()
        if not name.startswith("docs/") and any(kind == "python" for kind, _ in BLOCK.findall(text))
    }
    assert others == {"README.md", "experiments/autokeras/README.md"}
    for text in texts:
        ast.parse(text)
