"""The replay of the shipped knowledge: problems, arms, scores, bars, resuming, on tiny pools."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.knowledge_replay import arms, bars, report, run, scores
from experiments.knowledge_replay.flat import Flat
from experiments.knowledge_replay.problem import digest, make_problems, why_skipped
from experiments.transfer_benchmark.records import Job
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

SPEC = {
    "block": {
        "_type": "choice",
        "_value": [
            {"_name": "conv", "filters": {"_type": "choice", "_value": [16, 32]}},
            {"_name": "dense"},
        ],
    },
    "rate": {"_type": "choice", "_value": [0.1, 0.01, 0.001, 0.0001]},
}
SPACE = SearchSpace.from_nni(SPEC)
CONFIGS = list(SPACE.configs())  # 12


def worth(config):
    """What every task agrees on: the smaller the rate the better, and conv over dense."""
    return -np.log10(config["rate"]) + (config["block"]["_name"] == "conv")


def make_history(name, values=None, rows=range(10), shares=(), kind="image", **fields):
    configs = [CONFIGS[row] for row in rows]
    values = [worth(config) for config in configs] if values is None else values
    task = Task(name, fields.pop("objective", "maximize"), {f"kind_{kind}": 1.0})
    run = Run(f"v1/{name}", task, SPACE, "accuracy", "v1", extra={"shares": list(shares)})
    trials = [
        Trial(str(n), n, Suggestion(config, "random")).with_result(
            Result.failed("too large", 1.0) if value is None else Result(value, seconds=2.0)
        )
        for n, (config, value) in enumerate(zip(configs, values, strict=True))
    ]
    return History(replace(run, **fields), tuple(trials))


@pytest.fixture
def knowledge():
    return [
        make_history("a", shares=["b"]),
        make_history("b", shares=["a"], rows=range(2, 12)),
        make_history("c", rows=range(1, 11)),
        make_history("d", rows=[11, 3, 5, 7, 9, 0, 2]),
        make_history("t", kind="tabular", rows=range(7)),
    ]


@pytest.fixture
def target(knowledge):
    return make_problems(knowledge)[0]


@pytest.fixture
def without_network(monkeypatch):
    """The network needs TensorFlow, and some seconds."""
    monkeypatch.setattr(arms, "_network", lambda problem: None)


class TestProblems:
    def test_the_task_and_its_relatives_are_left_out(self, knowledge, target):
        assert target.name == "v1/a"
        assert target.kind == "image"
        assert [source.run.task.name for source in target.sources] == ["c", "d", "t"]
        assert [source.run.task.name for source in target.alike] == ["c", "d"]
        assert len(make_problems(knowledge)) == 5

    def test_runs_of_another_environment_join_the_pool(self, knowledge):
        more = make_history("a", rows=[10, 11], run_id="v1/a/1", environment={"cores": 2})
        joined = make_problems([*knowledge, more])
        assert len(joined) == 5
        assert len(joined[0].configs) == 12
        assert sorted(joined[0].rows.values()) == list(range(12))

    def test_another_recipe_is_another_pool(self, knowledge):
        other = make_history("a", run_id="v2/a", recipe="v2")
        names = [each.name for each in make_problems([*knowledge, other])]
        assert names == ["v1/a", "v1/b", "v1/c", "v1/d", "v1/t", "v2/a"]

    def test_failures_are_the_worst_in_either_direction(self):
        values = [3.0, None, 1.0, 2.0]
        (high,) = make_problems([make_history("a", values, range(4))])
        (low,) = make_problems([make_history("a", values, range(4), objective="minimize")])
        assert [high.values[high.rows[SPACE.key(c)]] for c in CONFIGS[:4]] == [3.0, 1.0, 1.0, 2.0]
        assert low.values.tolist() == [-3.0, -1.0, -2.0, -3.0]  # completed ones come first
        assert high.seconds.tolist() == [2.0, 2.0, 2.0, 1.0]

    def test_the_reason_for_skipping_is_said(self, knowledge):
        few = make_history("few", rows=range(5))
        flat = make_history("flat", values=[1.0] * 4 + [0.0] * 3, rows=range(7))
        ready, thin, same = make_problems([knowledge[2], few, flat])
        assert why_skipped(ready) is None
        assert why_skipped(thin) == "fewer than 6 completed rows"
        assert why_skipped(same) == "at least half of its rows are the best one"
        assert why_skipped(make_problems([knowledge[2]])[0]) == "no other task is measured"

    def test_the_digest_changes_with_a_row(self, knowledge):
        grown = [*knowledge[:-1], make_history("t", kind="tabular", rows=range(8))]
        assert digest(knowledge) == digest(list(knowledge))
        assert digest(knowledge) != digest(grown)


class TestArms:
    @pytest.mark.parametrize("name", ["meta", "portfolio_mean_rank", "random"])
    def test_every_row_is_tried_once(self, name, target, without_network):
        rows = arms.ARMS[name].search(target, 0, 40)
        assert sorted(rows) == list(range(len(target.configs)))
        assert arms.ARMS[name].search(target, 0, 40) == rows
        assert arms.ARMS[name].search(target, 0, 3) == rows[:3]

    @pytest.mark.parametrize("name", ["meta", "portfolio_mean_rank"])
    def test_what_other_tasks_agree_on_comes_first(self, name, target, without_network):
        rows = arms.ARMS[name].search(target, 0, 3)
        assert target.values.max() in target.values[rows]

    @pytest.mark.parametrize("name", ["meta", "portfolio_mean_rank", "random"])
    def test_the_first_row_does_not_depend_on_the_pools_values(
        self, name, knowledge, without_network
    ):
        other = make_history("a", values=[float(n) for n in range(10)], shares=["b"])
        first, second = (make_problems([own, *knowledge[1:]])[0] for own in (knowledge[0], other))
        search = arms.ARMS[name].search
        count = 1 if name == "meta" else 10  # the others never look at values
        assert search(first, 0, count) == search(second, 0, count)

    def test_meta_is_told_what_was_measured(self, monkeypatch, without_network):
        pool = make_history("a", values=[None, *np.arange(9.0)])
        (each, _) = make_problems([pool, make_history("c")])
        seen = []

        class Spy(arms.MetaController):
            def propose(self, history, count, rng):
                seen.append(history)
                return super().propose(history, count, rng)

        monkeypatch.setattr(arms, "MetaController", Spy)
        rows = arms.search_meta(each, 0, 10)
        known = [(t.result.value, t.result.reason, t.result.seconds) for t in seen[-1].trials]
        results = [each.result(row) for row in rows[:9]]
        assert known == [(r.value, r.reason, r.seconds) for r in results]
        assert seen[0].run.task.metafeatures == {"kind_image": 1.0}
        assert seen[0].trials == ()

    @pytest.mark.host
    def test_the_network_has_seen_what_a_search_lets_it_see(self, target):
        """The sources alone, and of these none whose space is nearly all another one."""
        from meta_nni.policy.neural import NeuralPolicy

        few = {"_type": "choice", "_value": [1, 2, 3]}
        wide = SearchSpace.from_nni({**SPEC, "u": few, "v": few})
        rates = SearchSpace.from_nni({"rate": SPEC["rate"]})
        foreign = make_history("foreign", kind="text", rows=range(4))
        trials = tuple(
            replace(trial, suggestion=Suggestion(config, "random"))
            for trial, config in zip(foreign.trials, rates.configs(), strict=True)
        )
        foreign = History(replace(foreign.run, space=rates), trials)
        pool = replace(target.pool, run=replace(target.pool.run, space=wide))
        target = replace(target, pool=pool, sources=(*target.sources, foreign))
        policy = NeuralPolicy.load(arms._network(target), wide)
        assert set(policy.trained_on) == {"v1/c", "v1/d", "v1/t"}

    def test_optuna_tries_every_row_once(self, target):
        pytest.importorskip("optuna")  # in the peers' environment
        rows = arms.ARMS["optuna_gp_warm"].search(target, 0, 40)
        assert sorted(rows) == list(range(len(target.configs)))


class TestFlat:
    def test_there_and_back(self):
        flat = Flat(SPACE)
        assert all(not parameter.nested for parameter in flat.space.parameters)
        for config in CONFIGS:
            own = flat.flatten(config, SPACE)
            flat.space.validate(own)
            assert flat.unflatten(own) == config

    def test_what_the_origin_lacks_gets_the_first_option(self):
        origin = SearchSpace.from_nni({"rate": SPEC["rate"]})
        own = Flat(SPACE).flatten({"rate": 0.01}, origin)
        assert own == {"block": "conv", "block/conv/filters": 16, "rate": 0.01}


class TestScores:
    @pytest.fixture
    def pool(self):
        """Values 0 to 8, so that the median is 4; the worst row takes longest."""
        values = [float(n) for n in range(9)]
        (each,) = make_problems([make_history("a", values, range(9))])
        return each

    def test_by_trials(self, pool):
        assert scores.by_trials(pool, [4, 2, 6, 0, 8]).tolist() == [1.0, 0.5, 0.0, 0.0, 0.0]

    def test_by_ranks_no_outlier_matters(self):
        values = [-1e16, 1.0, 2.0, 3.0, 4.0]
        (each,) = make_problems([make_history("a", values, range(5))])
        assert scores.by_trials(each, [0, 4])[0] == scores.CAP
        assert scores.by_ranks(each, [0, 4]).tolist()[:2] == [2.0, 0.0]
        assert scores.by_ranks(each, [1, 4])[0] == 1.5

    def test_by_seconds(self, pool):
        slow = pool.pool.trials[8].with_result(Result(8.0, seconds=20.0))  # mean 4 s
        pool = replace(pool, pool=replace(pool.pool, trials=(*pool.pool.trials[:8], slow)))
        found = scores.by_seconds(pool, [8, 7, 6])
        assert found.tolist() == [2.0, 2.0, 0.0, 0.0, 0.0]
        assert scores.by_seconds(pool, [6, 7, 8]).tolist() == [0.25, 0.25, 0.25, 0.0, 0.0]

    def test_seeds_are_averaged_before_tasks(self, knowledge):
        searched = make_problems(knowledge)[:3]
        best, worst = ([int(pick(p.values)) for p in searched] for pick in (np.argmax, np.argmin))
        found = {}
        for place, each in enumerate(searched):
            for seed in range(2):
                bad = place == 0 and seed == 1
                rows = {"meta": worst if bad else best, "random": best}
                for arm, chosen in rows.items():
                    found[Job("image", arm, each.name, seed)] = {"rows": [chosen[place]]}
        own = scores.Scores(searched, found)
        gap = own.difference("trials", "image", "meta", "random", 1)
        expected = own.of_task("trials", "v1/a", "meta", 1)
        assert gap.n == 3
        assert gap.mean == pytest.approx(expected / 3)
        assert own.regret("trials", "image", "random", 1).mean == 0.0
        assert own.regret("trials", "image", "optuna_gp_warm", 1) is None
        assert own.tasks("image", 10) == []
        assert own.regret("trials", "image", "meta", 10) is None

    @pytest.mark.parametrize(("ours", "holds"), [("argmax", True), ("argmin", False)])
    def test_bars_can_hold_and_fail(self, knowledge, ours, holds):
        searched = make_problems(knowledge)[:3]
        found = {}
        for each in searched:
            row = int(getattr(np, ours)(each.values))
            middle = int(np.argsort(each.values)[len(each.values) // 2])
            found |= {Job("image", arm, each.name, 0): {"rows": [middle]} for arm in bars.OTHERS}
            found[Job("image", "meta", each.name, 0)] = {"rows": [row]}
        verdicts = bars.check(scores.Scores(searched, found))
        measured = [v for v in verdicts if v.where.startswith("image") and v.holds is not None]
        assert {v.where for v in measured} == {f"image, trial {n}" for n in (1, 3, 5)}
        assert all(verdict.holds is holds for verdict in measured)
        assert all(v.holds is None for v in verdicts if not v.where.startswith("image"))


class TestRun:
    @pytest.fixture
    def replay(self, knowledge, tmp_path, monkeypatch):
        """Runs the script with one arm; returns the lines that its results then have."""
        shown = {"knowledge": knowledge}
        for module in (run, report):
            monkeypatch.setattr(module, "shipped_knowledge", lambda: shown["knowledge"])

        def replay(*more, knowledge=knowledge):
            shown["knowledge"] = knowledge
            folders = ["--results", str(tmp_path / "results"), "--output", str(tmp_path)]
            run.main([*folders, "--arms", "random", *more])
            file = tmp_path / "results" / digest(knowledge) / "random.jsonl"
            return [json.loads(line) for line in file.read_text().splitlines()]

        return replay

    def test_what_is_done_is_not_run_again(self, replay, capsys):
        first = replay("--seeds", "1")
        assert [record["task"] for record in first] == [f"v1/{name}" for name in "abcdt"]
        assert replay("--seeds", "2")[:5] == first
        assert "5 searches are done, 5 to be run" in capsys.readouterr().out

    def test_more_rows_are_measured_anew(self, replay, knowledge):
        replay("--seeds", "1")
        grown = [*knowledge[:-1], make_history("t", kind="tabular", rows=range(8))]
        records = replay("--seeds", "1", knowledge=grown)
        assert len(records) == 5
        assert len(records[-1]["rows"]) == 8

    def test_the_report_says_what_it_rests_on(self, replay, knowledge, tmp_path):
        replay("--seeds", "2")
        text = (tmp_path / "results.md").read_text()
        assert f"Digest `{digest(knowledge)}`" in text
        assert "| image | 4 | 4 | 37 | 0 | 7 to 10 | 40 |" in text
        assert "| text | 0 | 0 | 0 | 0 | - | 40 |" in text
        assert "run --seeds 2` | 0, 1 |" in text
        assert "not measured" in text

    def test_the_peers_arms_run_in_their_environment(self, replay, monkeypatch, tmp_path):
        started = []
        monkeypatch.setattr(run.subprocess, "run", lambda command, **_: started.append(command))
        replay("--seeds", "1", "--arms", "random", "optuna_gp_warm")
        assert started == []
        replay("--seeds", "1", "--arms", "random", "optuna_gp_warm", "--peers-python", "py")
        (command,) = started
        assert command[0] == "py"
        assert command[-2:] == ["--arms", "optuna_gp_warm"]

    def test_a_report_without_results_says_how_to_get_them(self, replay, tmp_path):
        with pytest.raises(SystemExit, match=r"no searches .* run `python -m"):
            report.main(["--results", str(tmp_path), "--output", str(tmp_path)])

    def test_a_thin_task_is_named_as_skipped(self, knowledge):
        few = make_history("few", rows=range(3))
        text = report.markdown([*knowledge, few], {})
        assert "- 1 for fewer than 6 completed rows: few" in text
