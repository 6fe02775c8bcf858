"""The transfer benchmark: tables, sources, resuming, scores and bars, on a tiny table."""

import json
import math
import sys

import numpy as np
import pytest

from experiments.transfer_benchmark import bars, problem, records, report, run, tables, work
from experiments.transfer_benchmark.arms import ARMS, ControllerArm, Exhausted
from experiments.transfer_benchmark.mean_rank import MeanRankPortfolio
from experiments.transfer_benchmark.peer_space import best_of_sources, domains, to_config
from experiments.transfer_benchmark.prototype import Prototype
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Scores, regret_curve
from meta_nni.space import SearchSpace

TASKS = ("c10_test_200", "c100_test_200", "in16_test_200")
EDGES = ("0->1", "0->2")
OPS = ("none", "skip", "conv")


@pytest.fixture
def folder(tmp_path):
    """Nine cells of two edges, of which cell 3 is isomorphic to cell 1."""
    ops = np.array([(a, b) for a in range(3) for b in range(3)])
    iso = np.arange(9)
    iso[3] = 1
    base = np.arange(9.0)
    values = {"c10_test_200": base, "c100_test_200": base[::-1], "in16_test_200": base**2}
    np.savez(
        tmp_path / "nasbench201.npz", ops=ops, op_names=OPS, edge_names=EDGES, iso_rep=iso, **values
    )
    names = ["batch_size", "learning_rate", "max_dropout", "max_units", "momentum", "num_layers"]
    row = [64, 0.01, 0.5, 128, 0.5, 3, 0.05]
    wide = np.array([row, [65, *row[1:]], [64, 0.01, 0.5, 1024, 0.5, 5, 0.05]])
    np.savez(
        tmp_path / "lcbench_surrogate.npz",
        hp_names=[*names, "weight_decay"],
        configs=wide,
        tasks=["a", "b"],
        val_accuracy=np.arange(6.0).reshape(2, 3, 1),
        test_balanced_accuracy=np.arange(6.0).reshape(2, 3, 1),
    )
    return tmp_path


@pytest.fixture
def load(folder):
    return lambda name: tables.load(name, folder)


@pytest.fixture
def table(load):
    return load("nasbench201")


def of_graph(ops, links):
    return {
        "op_names": ("conv", "skip"),
        "links": np.array(links),
        "link_id": np.arange(len(links)),
        "ops": np.array(ops),
        "tasks": ("a",),
        "a_val": np.arange(len(links), dtype=float),
        "a_test": np.arange(len(links), dtype=float),
    }


def values_of(source):
    return [trial.value for trial in source.trials]


class TestTables:
    def test_isomorphic_cells_share_a_row(self, table):
        assert len(table.configs) == 8
        cell_1, cell_3 = ({"0->1": OPS[a], "0->2": OPS[b]} for a, b in ((0, 1), (1, 0)))
        assert table.row(cell_1) == table.row(cell_3)
        assert table.values["c10_test_200"][table.row(cell_3)] == 1.0

    def test_every_row_answers_for_its_own_config(self, load):
        for name in ("nasbench201", "lcbench_surrogate"):
            table = load(name)
            assert [table.row(config) for config in table.configs] == list(range(len(table.x)))

    def test_a_config_between_rows_gets_the_nearest(self, load):
        table = load("lcbench_surrogate")
        far = {**table.configs[2], "max_units": 900.0}
        assert table.row(far) == 2
        assert np.isfinite(table.x).all()

    def test_a_skip_and_the_order_of_nodes_do_not_make_another_network(self, tmp_path):
        arrays = of_graph([[0, 0, 0, 1], [0, 0, 0, 0]], [[0, 0, 0, 1], [0, 0, 1, 2]])
        np.savez(tmp_path / "nasbench_graph.npz", **arrays)
        table = tables.load("nasbench_graph", tmp_path)
        moved = {"link": "0002", "op0": "conv", "op1": "conv", "op2": "conv", "op3": "skip"}
        own = {"link": "0001", "op0": "conv", "op1": "conv", "op2": "conv", "op3": "skip"}
        assert table.row(own) == 0
        with pytest.raises(ValueError, match="0002"):
            table.row(moved)


class TestSources:
    def test_the_target_is_left_out(self, load):
        sources = problem.make_sources(load, "nasbench201", TASKS[0], 0)
        assert [source.run.task.name for source in sources] == list(TASKS[1:])

    def test_sources_are_drawn_apart_and_measured(self, load, table, monkeypatch):
        monkeypatch.setattr(problem, "NUM_SOURCE_ROWS", 4)
        first, second = problem.make_sources(load, "nasbench201", TASKS[0], 0)
        configs = [
            [table.row(trial.config) for trial in source.trials] for source in (first, second)
        ]
        assert len(set(configs[0])) == 4
        assert configs[0] != configs[1]
        assert values_of(first) == list(table.values[TASKS[1]][configs[0]])

    def test_a_source_is_the_same_for_every_target(self, load):
        one = problem.make_sources(load, "nasbench201", TASKS[0], 5)[1]
        two = problem.make_sources(load, "nasbench201", TASKS[1], 5)[1]
        other_seed = problem.make_sources(load, "nasbench201", TASKS[1], 6)[1]
        assert one == two
        assert one != other_seed

    def test_negated(self, load):
        good = problem.make_sources(load, "nasbench201", TASKS[0], 0)
        bad = problem.make_sources(load, "nasbench201", TASKS[0], 0, "negated")
        for a, b in zip(good, bad, strict=True):
            assert values_of(b) == [-value for value in values_of(a)]
            assert [t.config for t in b.trials] == [t.config for t in a.trials]

    def test_one_negated_is_one_and_depends_on_the_seed(self, load):
        for seed in (0, 1):
            good = problem.make_sources(load, "nasbench201", TASKS[0], seed)
            bad = problem.make_sources(load, "nasbench201", TASKS[0], seed, "one_negated")
            changed = [values_of(a) != values_of(b) for a, b in zip(good, bad, strict=True)]
            assert changed == [seed == 0, seed == 1]

    def test_permuted_keeps_the_values_and_moves_them(self, load):
        good = problem.make_sources(load, "nasbench201", TASKS[0], 0)
        bad = problem.make_sources(load, "nasbench201", TASKS[0], 0, "permuted")
        for a, b in zip(good, bad, strict=True):
            assert sorted(values_of(a)) == sorted(values_of(b))
            assert values_of(a) != values_of(b)

    def test_unrelated_sources_have_their_own_space(self, load, folder):
        arrays = of_graph([[0, 0, 0, 0]] * 2, [[0, 0, 0, 0], [0, 1, 2, 3]])
        np.savez(folder / "nasbench_graph.npz", **arrays)
        (source,) = problem.make_sources(load, "nasbench201", TASKS[0], 0, "unrelated")
        assert source.run.space == load("nasbench_graph").space

    def test_cold_has_none_and_typos_are_named(self, load):
        assert problem.make_sources(load, "nasbench201", TASKS[0], 0, "none") == []
        with pytest.raises(ValueError, match="'negatd'"):
            problem.make_sources(load, "nasbench201", TASKS[0], 0, "negatd")
        with pytest.raises(ValueError, match="'c10'"):
            problem.make_sources(load, "nasbench201", "c10", 0)


class TestArms:
    @pytest.mark.parametrize("make", [Prototype, MeanRankPortfolio])
    def test_references_find_what_like_sources_know(self, table, load, make):
        sources = problem.make_sources(load, "nasbench201", "in16_test_200", 0)[:1]
        arm = make(table, sources, 0)
        rows = []
        for _ in range(len(table.configs)):
            config = arm.ask()
            rows.append(table.row(config))
            arm.tell(config, float(table.values["in16_test_200"][rows[-1]]))
        assert rows[0] == len(table.configs) - 1
        assert sorted(rows) == list(range(len(table.configs)))

    def test_the_prototype_predicts_in_the_task_s_units(self, table):
        arm, values = Prototype(table, [], 0), table.values["in16_test_200"] + 1000.0
        for _ in range(6):
            config = arm.ask()
            arm.tell(config, float(values[table.row(config)]))
        mean, std = arm.prediction
        assert 900 < mean < 1100
        assert 0 < std < 100

    def test_a_controller_arm_is_reproducible_and_stops_when_the_space_is_exhausted(self, load):
        job = {"table": "nasbench201", "arm": "random", "task": TASKS[0], "trials": 20}
        first, again = (work.run_job({**job, "seed": 3}, load)["rows"] for _ in range(2))
        assert first == again
        assert len(first) == 9  # configs, two of them isomorphic
        assert set(first) == set(range(8))

    def test_the_controller_sees_its_results(self, table):
        seen = []

        class Spy:
            def learn(self, run, sources, rng):
                seen.append(len(sources))

            def propose(self, history, count, rng):
                seen.append([trial.value for trial in history.completed])
                return []

        arm = ControllerArm(table, [], 0, "random")
        config = arm.ask()
        arm.tell(config, 0.25)
        arm._controller = Spy()
        with pytest.raises(Exhausted):
            arm.ask()
        assert seen == [[0.25]]

    def test_peers_are_not_loaded_with_the_arms(self):
        environments = {name: ARMS[name].environment for name in ("optuna_gp_warm", "nni_tpe")}
        assert environments == {"optuna_gp_warm": "peers", "nni_tpe": "main"}
        peers = [module for module in sys.modules if "transfer_benchmark.peers_" in module]
        assert peers == []


class TestPeerSpace:
    def test_orders_are_kept(self):
        space = SearchSpace.from_nni(
            {
                "layers": {"_type": "choice", "_value": [1, 2, 3]},
                "op": {"_type": "choice", "_value": ["a", "b"]},
                "rate": {"_type": "loguniform", "_value": [0.01, 1.0]},
                "units": {"_type": "qloguniform", "_value": [2, 64, 1]},
            }
        )
        found = domains(space)
        assert [found[name].kind for name in space.to_nni()] == ["int", "choice", "float", "int"]
        assert found["rate"].log
        assert found["units"].log
        config = to_config(space, {"units": np.int64(3), "rate": 0.1, "op": "a", "layers": 2})
        space.validate(config)

    def test_a_range_that_peers_are_not_told_of_is_refused(self):
        space = SearchSpace.from_nni({"x": {"_type": "normal", "_value": [0, 1]}})
        with pytest.raises(ValueError, match='"x" is normal'):
            domains(space)

    def test_each_source_s_best_comes_once(self, load, table):
        sources = problem.make_sources(load, "nasbench201", TASKS[1], 0)  # best cells agree
        assert best_of_sources(sources) == [table.configs[-1]]


class TestRecords:
    def test_a_cut_off_line_is_no_record_and_is_removed(self, tmp_path):
        record = {"table": "t", "arm": "a", "task": "x", "seed": 0, "trials": 5, "rows": [1]}
        records.append(tmp_path, record)
        with (tmp_path / "a.jsonl").open("a") as file:
            file.write('{"table": "t", "ar')
        assert list(records.read(tmp_path, ["a"])) == [Job("t", "a", "x", 0)]
        records.append(tmp_path, {**record, "seed": 1})
        assert [job.seed for job in records.read(tmp_path, ["a"])] == [0, 1]

    def test_a_broken_line_is_named(self, tmp_path):
        (tmp_path / "a.jsonl").write_text("[]\n")
        with pytest.raises(ValueError, match=r"a\.jsonl, line 1"):
            records.read(tmp_path, ["a"])


class TestRun:
    def test_seeds_come_in_turn(self):
        jobs = list(run.all_jobs({"t": ["x", "y"]}, ["a", "b"], 2))
        assert [job.seed for job in jobs] == [0] * 4 + [1] * 4
        assert len(set(jobs)) == 8

    def test_what_is_there_is_not_run_again(self, folder, tmp_path, load, monkeypatch, capsys):
        ran = []

        class Here:
            """A worker in this process."""

            def __init__(self, python, folder):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *error):
                pass

            def answer(self, job, trials):
                ran.append(job)
                return work.run_job({**job._asdict(), "trials": trials}, load)

        monkeypatch.setattr(run, "_Worker", Here)
        options = ["--tables", str(folder), "--results", str(tmp_path / "results")]
        options += ["--table", "nasbench201", "--arms", "random", "optuna_gp", "--trials", "2"]
        assert run.main([*options, "--seeds", "1"]) == 0
        assert "optuna_gp" in capsys.readouterr().out  # left out by name
        assert ran == [Job("nasbench201", "random", task, 0) for task in TASKS]
        assert run.main([*options, "--seeds", "2"]) == 0
        assert [job.seed for job in ran] == [0] * 3 + [1] * 3
        line = (tmp_path / "results/random.jsonl").read_text().splitlines()[0]
        assert len(json.loads(line)["rows"]) == 2


def scores_of(table, rows_by_arm, **fields):
    found = {}
    for arm, rows in rows_by_arm.items():
        for task in TASKS:
            record = {"rows": rows, "ask_seconds": [0.1, 0.2, 0.3], "learn_seconds": 1.0}
            record |= {"cpu_seconds": 6.0, "date": "2026-01-02", "versions": {"python": "3"}}
            found[Job("nasbench201", arm, task, 0)] = record | {"machine": "here"} | fields
    return Scores({"nasbench201": table}, found)


class TestScores:
    def test_regret_by_hand(self):
        values = np.array([0.0, 4.0, 5.0, 6.0, 10.0])  # best 10, median 5
        curve = regret_curve([0, 3, 1], values, values, 5)
        assert curve.tolist() == [2.0, 0.8, 0.8, 0.8, 0.8]

    def test_test_regret_follows_what_was_told(self):
        told, judged = np.array([1.0, 2.0, 3.0]), np.array([9.0, 8.0, 0.0])
        assert regret_curve([0, 2], told, judged, 2).tolist() == [0.0, 9.0]

    def test_paired_differences_and_errors(self, table):
        scores = scores_of(table, {"meta": [7], "random": [0]})
        gap = scores.difference("nasbench201", ("meta", 1), ("random", 50))
        own = [scores.regret("nasbench201", arm, 1) for arm in ("meta", "random")]
        assert gap.n == 3
        assert math.isclose(gap.mean, own[0].mean - own[1].mean)
        assert scores.difference("nasbench201", ("meta", 1), ("nni_tpe", 1)) is None

    def test_calibration_counts_from_trial_eleven_on(self, table):
        rows = [0] * 12
        predictions = [[500.0, 0.1]] * 10 + [[0.0, 100.0], [500.0, 0.1]]
        found = scores_of(table, {"meta": rows}, predictions=predictions).calibration(
            "nasbench201", "meta"
        )
        assert found.n == 6
        assert found.coverage == 0.5

    def test_trials_until_near_the_best(self, table):
        scores = scores_of(table, {"meta": [0, 7]})
        until = [scores.trials_until("nasbench201", "meta", task, 0.1) for task in TASKS]
        assert until == [[2.0], [1.0], [2.0]]
        assert scores.trials_until("nasbench201", "meta", TASKS[0], -1.0) == [math.inf]


class TestReport:
    def test_bars_are_computed(self, table):
        rows = {"meta": [7, 0], "meta_cold": [0, 7], "random": [0], "nni_tpe": [6, 1]}
        verdicts = bars.check(scores_of(table, rows))
        good = [v for v in verdicts if v.where == "nasbench201, meta" and "trial 30" in v.bar]
        assert [v.holds for v in good] == [True]
        assert "nni_tpe" in good[0].numbers
        worse = scores_of(table, {**rows, "meta": [3, 3]})
        lost = [
            v for v in bars.check(worse) if v.where == "nasbench201, meta" and "trial 30" in v.bar
        ]
        assert [v.holds for v in lost] == [False]

    def test_what_was_not_measured_is_said(self, table):
        verdicts = bars.check(scores_of(table, {"random": [0]}))
        assert {v.holds for v in verdicts} == {None}

    def test_the_report_shows_each_arm(self, table):
        text = report.markdown(scores_of(table, {"meta": [7, 0], "random": [0, 1]}))
        assert "| `random` | reference |" in text
        assert "## Bars" in text
        assert "2026-01-02" in text
