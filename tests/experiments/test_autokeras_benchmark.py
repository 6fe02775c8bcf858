"""The live benchmark of AutoKeras: what is left out, arms, scores, bars, resuming."""

import json
import math
from contextlib import closing

import numpy as np
import pytest

from experiments.autokeras_benchmark import bars, portfolio, problem, report, run
from experiments.autokeras_benchmark.scores import Scores, best_after, final_accuracy
from experiments.transfer_benchmark.records import Job
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

SPACE = SearchSpace.from_nni(
    {
        "units": {"_type": "choice", "_value": [16, 32, 64]},
        "rate": {"_type": "choice", "_value": [0.1, 0.01, 0.001]},
    }
)
CONFIGS = list(SPACE.configs())


def worth(config):
    """What every task agrees on."""
    return config["units"] / 100 - abs(math.log10(config["rate"]) + 2)


def make_history(name, rows=range(9), kind="tabular", data_set=None, shares=()):
    task = Task(name, "maximize", {f"kind_{kind}": 1.0})
    extra = {"shares": list(shares), "source": {"name": data_set or name}}
    trials = [
        Trial(str(row), row, Suggestion(CONFIGS[row], "random")).with_result(
            Result(worth(CONFIGS[row])) if row else Result.failed("too large")
        )
        for row in rows
    ]
    return History(Run(f"v1/{name}", task, SPACE, "accuracy", "v1", extra=extra), tuple(trials))


def record(values, test=0.8, **fields):
    trials = [{"value": value, "seconds": 1.0, "epochs": 1} for value in values]
    return {"measured": trials, "test_accuracy": test, **fields}


class TestProblem:
    def test_a_task_goes_with_its_variations_and_relatives(self, tmp_path):
        (tmp_path / "index.json").write_text(
            json.dumps([{"name": "vehicle", "shares": ["lorries"]}, {"name": "x", "shares": []}])
        )
        knowledge = [
            make_history("vehicle", shares=["vehicle-3c", "tractors"]),
            make_history("vehicle-3c", data_set="vehicle"),
            make_history("tractors"),
            make_history("lorries-500rows", data_set="lorries"),
            make_history("x"),
        ]
        left = problem.sources_without("vehicle", knowledge, tmp_path)
        assert [history.run.task.name for history in left] == ["x"]

    @pytest.mark.parametrize("task", [t for tasks in problem.TASKS.values() for t in tasks])
    def test_the_shipped_knowledge_knows_every_task_and_nothing_of_it_is_left(self, task, tmp_path):
        from meta_nni.knowledge import Provenance, shipped_knowledge

        (tmp_path / "index.json").write_text("[]")
        known = shipped_knowledge()
        (own,) = [h for h in known if h.run.task.name == task]
        left = problem.sources_without(task, known, tmp_path)
        gone = {h.run.task.name for h in known} - {h.run.task.name for h in left}
        assert gone == {task, *own.run.extra["shares"]}
        assert all(Provenance.of(history.run).data_set != task for history in left)

    def test_rows_are_the_same_for_all_arms_and_other_ones_for_another_seed(self, tmp_path):
        (tmp_path / "tabular").mkdir()
        x, y = np.arange(200.0).reshape(100, 2), np.arange(100) % 4
        np.savez(tmp_path / "tabular/vehicle.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
        rows = problem.load_rows(tmp_path, "vehicle", 0, samples=40)
        again = problem.load_rows(tmp_path, "vehicle", 0, samples=40)
        other = problem.load_rows(tmp_path, "vehicle", 1, samples=40)
        np.testing.assert_array_equal(rows.x, again.x)
        assert not np.array_equal(rows.x, other.x)
        assert np.bincount(rows.y).tolist() == [10] * 4
        assert not np.array_equal(rows.y, np.sort(rows.y))  # the last fifth has all classes
        np.testing.assert_array_equal(rows.y, rows.x[:, 0] / 2 % 4)
        assert len(rows.y_test) == 8
        assert len(problem.load_rows(tmp_path, "vehicle", 0).y) == 100

    def test_an_unknown_task_is_named(self):
        with pytest.raises(ValueError, match="'lorries', expected one of"):
            problem.kind_of("lorries")


class TestPortfolio:
    def propose(self, sources, count, history=None):
        target = history or History(make_history("new").run, ())
        controller = portfolio.MeanRankController()
        controller.learn(target.run, sources, np.random.default_rng(0))
        return controller.propose(target, count, np.random.default_rng(0))

    def test_what_all_sources_like_comes_first(self):
        sources = [make_history("a"), make_history("b", rows=range(1, 9))]
        first, second = self.propose(sources, 2)
        best = sorted(CONFIGS, key=worth)[::-1]
        assert first.config == best[0]
        assert second.config in best[1:4]
        assert first.source == "portfolio"

    def test_other_kinds_of_data_have_no_say(self):
        sources = [make_history("a", kind="image")]
        assert [each.source for each in self.propose(sources, 2)] == ["random"] * 2

    def test_results_do_not_matter_and_nothing_comes_twice(self):
        sources = [make_history("a")]
        first, second = self.propose(sources, 2)
        tried = Trial("0", 0, first).with_result(Result(-5.0))
        history = History(make_history("new").run, (tried,))
        assert self.propose(sources, 1, history)[0].config == second.config

    def test_a_failure_is_the_worst_row(self):
        ranked = self.propose([make_history("a")], 9)
        assert CONFIGS[0] in [each.config for each in ranked[-3:]]


class TestScores:
    def test_a_search_without_a_value_counts_as_nothing(self):
        assert best_after(2)(record([None, 0.5, 0.9])) == 0.5
        assert best_after(3)(record([None, None, None])) == 0.0
        assert best_after(1)(record([])) == 0.0
        assert final_accuracy(record([0.5], test=None)) == 0.0

    def test_differences_are_paired_by_seed_and_averaged_over_tasks(self):
        found = {
            Job("text", "meta", "t", 0): record([0.5], 0.8),
            Job("text", "meta", "t", 1): record([0.7], 0.6),
            Job("text", "meta", "t", 2): record([0.9], 0.9),
            Job("text", "greedy", "t", 0): record([0.4], 0.7),
            Job("text", "greedy", "t", 1): record([0.4], 0.7),
            Job("image", "meta", "i", 0): record([0.4], 0.5),
            Job("image", "greedy", "i", 0): record([0.1], 0.1),
        }
        own = Scores(found)
        gap = own.of_task("t", ("meta", best_after(1)), ("greedy", best_after(1)))
        assert gap.mean == pytest.approx(0.2)
        assert gap.error == pytest.approx(0.1)
        both = own.difference("", ("meta", final_accuracy), ("greedy", final_accuracy))
        assert both.mean == pytest.approx((0.0 + 0.4) / 2)
        assert both.n == 2
        assert own.tasks("image", ["meta", "greedy"]) == ["i"]
        assert own.tasks("", ["meta", "bayesian"]) == []


def searches(arm_values, tasks=("vehicle", "phoneme"), seeds=2, kind="tabular"):
    """Searches of all compared arms: each arm's values, and its test accuracies by task."""
    about = {
        "asked_seconds": [0.1],
        "cpu_seconds": 9.0,
        "error": None,
        "versions": {"autokeras": "3"},
        "knowledge": "abc",
        "machine": "m",
        "date": "d",
    }
    return {
        Job(kind, arm, task, seed): record(values, tests[place] + 0.01 * seed, **about)
        for arm, (values, *tests) in arm_values.items()
        for place, task in enumerate(tasks)
        for seed in range(seeds)
    }


LOSING = [0.5, 0.5, 0.5, 0.9]
FOUND = {
    "meta": ([0.6, 0.7, 0.8, 0.8], 0.8, 0.7),
    "portfolio": ([0.9], 0.9, 0.9),
    "greedy": ([0.5, 0.5, 0.5, 0.75], 0.7, 0.6),
    "bayesian": ([0.1], 0.6, 0.65),
}


class TestBars:
    @pytest.fixture(autouse=True)
    def two_tasks(self, monkeypatch):
        monkeypatch.setattr(bars, "TASKS", {"tabular": ("vehicle", "phoneme")})

    def judged(self, **changes):
        verdicts = bars.check(Scores(searches({**FOUND, **changes})))
        return {(v.bar.split()[0], v.bar.split()[-1], v.where): v for v in verdicts}

    def test_ours_after_few_trials_is_held_against_theirs_after_many(self):
        key = ("best", "12", "all tasks")
        assert self.judged()[key].holds
        assert "+0.050" in self.judged()[key].numbers
        assert not self.judged(bayesian=(LOSING, 0.6, 0.6))[key].holds
        assert "bayesian" in self.judged(bayesian=(LOSING, 0.6, 0.6))[key].numbers

    def test_test_accuracy_is_held_against_the_hardest_arm(self):
        key = ("test", "arm", "tabular tasks")
        assert self.judged()[key].holds
        assert "greedy" in self.judged()[key].numbers
        assert not self.judged(greedy=([0.5], 0.8, 0.7))[key].holds  # a tie is not better

    def test_one_bad_task_is_found(self):
        verdicts = self.judged(greedy=([0.5], 0.6, 0.75))
        assert verdicts["test", "arm", "all tasks"].holds
        assert verdicts["test", "error", "vehicle"].holds
        assert not verdicts["test", "error", "phoneme"].holds

    def test_nothing_is_judged_while_tasks_are_missing(self, monkeypatch):
        monkeypatch.setattr(bars, "TASKS", problem.TASKS)
        found = self.judged()["test", "arm", "all tasks"]
        assert found.holds is None
        assert found.numbers.startswith("+0.100 ± 0.000 (n = 2) against greedy")
        assert found.numbers.endswith("; 8 tasks are missing")

    def test_nothing_is_said_of_what_is_not_measured(self, monkeypatch):
        monkeypatch.setattr(bars, "TASKS", problem.TASKS)
        assert self.judged()["test", "arm", "image tasks"].holds is None
        found = searches(FOUND, seeds=1)
        assert bars.check(Scores(found))[-1].holds is None
        assert all(v.holds is None for v in bars.check(Scores({})))


class TestReport:
    def test_it_shows_every_part(self, tmp_path):
        cheap = searches({**FOUND, "stock": ([None], 0.0, 0.0)})
        costly = searches({"meta": ([0.9], 0.9, 0.8), "meta_cold": ([0.7], 0.5, 0.5)})
        text = report.markdown(cheap, costly)
        assert "| tabular | vehicle | 2 | 2 | 2 | 2 | 0 | 2 |" in text
        assert "| all | `greedy` | +0.100 ± 0.000 (n = 2)" in text
        assert "| all | +0.200 ± 0.000 (n = 2)" in text
        assert "| vehicle | 0 | 1 | 0 | none | 0.000 |" in text
        assert "nan" not in text.replace("nano", "")

    def test_without_results_it_says_what_to_run(self, tmp_path):
        with pytest.raises(SystemExit, match=r"autokeras_benchmark\.run --data DIR"):
            report.main(["--results", str(tmp_path), "--output", str(tmp_path)])


class TestRun:
    @pytest.fixture
    def asked(self, monkeypatch):
        asked = []

        def search(job, options, scratch):
            asked.append(job)
            if job.arm == "bayesian":
                return None  # its process died
            found = searches({job.arm: ([0.5], 0.5)}, tasks=[job.task], seeds=1)
            found = {**next(iter(found.values())), **job._asdict()}
            found |= {"trials": options.trials, "seconds_per_trial": options.seconds}
            return {**found, "knowledge": run.digest(run.shipped_knowledge())}

        monkeypatch.setattr(run, "_run", search)
        monkeypatch.setattr(run, "shipped_knowledge", lambda: [make_history("a")])
        return asked

    def test_what_is_done_is_not_run_again_and_what_died_is(self, asked, tmp_path):
        command = ["--data", ".", "--tasks", "vehicle", "--seeds", "2", "--output", str(tmp_path)]
        command += ["--results", str(tmp_path / "results")]
        run.main(command)
        assert [job.seed for job in asked] == [0] * 4 + [1] * 4
        asked.clear()
        run.main(command)
        assert [job.arm for job in asked] == ["bayesian"] * 2
        assert "# Results" in (tmp_path / "results.md").read_text()

    @pytest.mark.parametrize("other", [["--trials", "2"], ["--seconds", "1"]])
    def test_results_of_other_settings_are_refused(self, asked, tmp_path, other):
        command = ["--data", ".", "--tasks", "vehicle", "--seeds", "1", "--arms", "meta"]
        command += ["--results", str(tmp_path), "--output", str(tmp_path)]
        run.main(command)
        with pytest.raises(SystemExit, match=r"'trials': 12.*expected .*call with those"):
            run.main([*command, *other])
        assert len(asked) == 1

    def test_another_budget_is_kept_apart(self, asked, tmp_path):
        command = ["--data", ".", "--tasks", "vehicle", "--seeds", "1", "--arms", "meta"]
        command += ["--results", str(tmp_path), "--output", str(tmp_path)]
        run.main(command)
        run.main([*command, "--samples", "all", "--epochs-factor", "4"])
        assert len(asked) == 2
        assert list((tmp_path / report.CHEAP).glob("*/meta.jsonl"))
        assert list((tmp_path / report.COSTLY).glob("*/meta.jsonl"))

    def test_with_more_knowledge_the_arms_that_have_it_are_run_again(
        self, asked, tmp_path, monkeypatch
    ):
        command = ["--data", ".", "--tasks", "vehicle", "--seeds", "1"]
        command += ["--arms", "meta", "portfolio", "greedy"]
        command += ["--results", str(tmp_path), "--output", str(tmp_path)]
        run.main(command)
        asked.clear()
        monkeypatch.setattr(run, "shipped_knowledge", lambda: [make_history("b")])
        run.main(command)
        assert [job.arm for job in asked] == ["meta", "portfolio"]
        assert len(list((tmp_path / report.CHEAP).glob("*/meta.jsonl"))) == 2
        assert "| tabular | vehicle | 1 | 1 | 1 | 0 | 0 | 0 |" in (
            tmp_path / "results.md"
        ).read_text("utf-8")


@pytest.mark.host
class TestOpponents:
    """AutoKeras's own oracles over the narrowed space, and a whole search of one of them."""

    @pytest.fixture(scope="class")
    def space(self):
        import keras_tuner

        space = keras_tuner.HyperParameters()
        block = space.Choice("i_1/block_type", ["resnet", "vanilla", "efficient"], default="resnet")
        with space.conditional_scope("i_1/block_type", ["efficient"]):
            space.Choice("i_1/version", ["b0", "b7"], default="b7")
            space.Boolean("i_1/pretrained", default=False)
        assert block == "resnet"
        return space

    def test_what_cannot_be_afforded_is_no_option(self, space):
        from experiments.autokeras_benchmark.opponents import narrow

        narrowed = {each.name: each for each in narrow(space).space}
        assert list(narrowed["i_1/block_type"].values) == ["vanilla", "efficient"]
        assert list(narrowed["i_1/version"].values) == ["b0"]
        assert narrowed["i_1/pretrained"].value is False
        assert narrowed["i_1/version"].conditions[0].values == ["efficient"]
        assert list(space.space[0].values) == ["resnet", "vanilla", "efficient"]

    @pytest.mark.parametrize("predicted", [["0", "1", "1", "0"], [0.0, 1.0, 1.0, 0.0]])
    def test_labels_come_as_texts_or_as_floats(self, predicted):
        from experiments.autokeras_benchmark.search import accuracy

        assert accuracy(np.array(predicted).reshape(4, 1), np.array([0, 1, 0, 0])) == 0.75

    @pytest.mark.parametrize("num_classes", [2, 3])
    def test_a_whole_search_is_recorded(self, tmp_path, num_classes):
        from sklearn.datasets import load_iris

        from experiments.autokeras_benchmark import search

        (tmp_path / "tabular").mkdir()
        x, y = (rows[: 50 * num_classes] for rows in load_iris(return_X_y=True))
        rows = {"x_train": x[::2], "y_train": y[::2], "x_test": x[1::2], "y_test": y[1::2]}
        np.savez(tmp_path / "tabular/vehicle.npz", **rows)
        job = {"arm": "greedy", "task": "vehicle", "seed": 0, "trials": 2, "samples": None}
        job |= {"epochs_factor": 1, "seconds": 60.0, "data": str(tmp_path), "store": None}
        (tmp_path / "job.json").write_text(json.dumps(job))
        search.main([str(tmp_path / "job.json"), str(tmp_path / "record.json")])
        found = json.loads((tmp_path / "record.json").read_text())
        first, second = found["measured"]
        assert first["values"]["structured_data_block_1/dense_block_1/num_layers"] == 2
        assert first["values"] != second["values"]
        assert first["epochs"] == 10
        assert 0 < first["value"] <= 1
        assert found["error"] is None
        assert found["test_accuracy"] > 1.02 / num_classes  # better than one class for all
        assert len(found["asked_seconds"]) == 2


def test_a_copy_of_the_prepared_store_alone_has_all_that_is_known(tmp_path, monkeypatch):
    """SQLite keeps new rows in a log beside the file until the store is closed."""
    monkeypatch.setattr(run.NeuralPolicy, "train", lambda *arguments, **settings: None)
    run.prepare(tmp_path / "known.db", [make_history("a"), make_history("b")], "tabular")
    copy = tmp_path / "elsewhere" / "store.db"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "known.db").read_bytes())
    with closing(ExperienceStore.open(copy)) as store:
        assert [len(store.history(each.run_id).trials) for each in store.runs()] == [9, 9]
