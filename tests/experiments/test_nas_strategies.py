"""The comparison of search strategies: jobs on a tiny table, scores, bars and the report."""

import numpy as np
import pytest

from experiments.nas_strategies import (
    fidelity,
    table,
    table_report,
    table_scores,
)
from experiments.nas_strategies.arms import ARMS
from experiments.transfer_benchmark import problem, tables
from experiments.transfer_benchmark.records import Job

TASKS = ("c10_test_200", "c100_test_200", "in16_test_200")
EDGES, OPS = ("0->1", "0->2"), ("none", "skip", "conv")


@pytest.fixture(autouse=True)
def budgets(monkeypatch):
    """Budgets that a tiny table has."""
    for module in (table_scores, table_report):
        monkeypatch.setattr(module, "BUDGETS", (1, 2, 3, 4))
    monkeypatch.setattr(table_scores, "AGAINST_PORTFOLIO", (1, 2, 3))
    monkeypatch.setattr(table_scores, "AGAINST_COLD", (1, 2))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Nine cells of two edges, of which cell 3 is isomorphic to cell 1."""
    monkeypatch.setattr(problem, "NUM_SOURCE_ROWS", 4)
    iso = np.arange(9)
    iso[3] = 1
    values = {task: np.roll(np.arange(9.0), shift) for shift, task in enumerate(TASKS)}
    ops = np.array([(a, b) for a in range(3) for b in range(3)])
    np.savez(
        tmp_path / "nasbench201.npz", ops=ops, op_names=OPS, edge_names=EDGES, iso_rep=iso, **values
    )
    return table.merged(tables.load("nasbench201", tmp_path))


def record(job, rows):
    return {
        **job._asdict(),
        "trials": 300,
        "rows": rows,
        "cpu_seconds": 1.0,
        "machine": "m",
        "date": "2026-01-01",
        "versions": {"numpy": "2"},
    }


def job(arm, task=TASKS[0], seed=0):
    return Job("nasbench201", arm, task, seed)


@pytest.fixture
def scored(small):
    """Scores of arms that find the best cell at a given place, after the worst ones."""

    def score(**places):
        values = small.values[TASKS[0]]
        best, worst = int(np.argmax(values)), int(np.argmin(values))
        found = {}
        for arm, place in places.items():
            for seed in (0, 1):
                rows = [worst] * 4
                rows[place] = best
                found[job(arm, seed=seed)] = record(job(arm, seed=seed), rows)
        return table_scores.TableScores(small, found)

    return score


class TestJobs:
    def test_isomorphic_cells_are_one_candidate(self, small):
        one, other = ({"0->1": OPS[a], "0->2": OPS[b]} for a, b in ((0, 1), (1, 0)))
        assert small.space.key(one) == small.space.key(other)

    @pytest.mark.parametrize("arm", ["random", "evolution", "portfolio", "meta_cold"])
    def test_a_search_measures_no_cell_twice(self, small, arm):
        found = table.run_job(job(arm), small, 8)
        assert sorted(found["rows"]) == list(range(8))
        assert table.run_job(job(arm), small, 8)["rows"] == found["rows"]

    def test_what_is_recorded_is_not_run_again(self, small, tmp_path, monkeypatch):
        arguments = ["--tables", str(tmp_path), "--arms", "random", "--seeds", "2"]
        arguments += ["--results", str(tmp_path / "r"), "--output", str(tmp_path), "--trials", "4"]
        table.main(arguments)
        assert len((tmp_path / "r" / "random.jsonl").read_text().splitlines()) == 6
        monkeypatch.setattr(table, "run_job", None)
        table.main(arguments)


class TestScores:
    def test_regret_is_of_the_best_cell_so_far(self, scored, small):
        scores = scored(random=2)
        values = small.values[TASKS[0]]
        worst = (values.max() - values.min()) / (values.max() - np.median(values))
        means = [scores.regret("random", n).mean for n in (1, 2, 3, 4)]
        assert means == pytest.approx([worst, worst, 0.0, 0.0])
        assert scores.accuracy("random", TASKS[0], 2).mean == values.min()
        assert scores.accuracy("random", TASKS[0], 3).mean == values.max()

    def test_differences_are_paired(self, scored):
        scores = scored(random=3, meta_warm=1)
        assert scores.difference("meta_warm", "random", 1).mean == 0.0
        assert scores.difference("meta_warm", "random", 2).mean < 0.0
        assert scores.difference("random", "meta_warm", 2).mean > 0.0
        assert scores.difference("random", "evolution", 2) is None

    def test_short_searches_do_not_count(self, scored, small):
        short = {**record(job("random"), [0, 1]), "trials": 2}
        assert table_scores.TableScores(small, {job("random"): short}).arms == []


class TestBars:
    def verdicts(self, scores):
        return [(v.bar, v.where, v.holds) for v in table_scores.check(scores)]

    def test_they_hold_where_ours_is_better(self, scored):
        places = dict.fromkeys(ARMS, 3) | {"meta_warm": 0, "random": 3}
        assert all(holds for *_, holds in self.verdicts(scored(**places)))

    def test_they_fail_where_it_is_not(self, scored):
        places = dict.fromkeys(ARMS, 0) | {"meta_warm": 1}
        failed = [where for bar, where, holds in self.verdicts(scored(**places)) if not holds]
        assert failed.count("1 cells") == 2
        assert "3 cells" in failed  # equal is not better

    def test_worse_than_random_fails(self, small, scored):
        scores = scored(random=3, evolution=3)
        for record_ in scores.records.values():
            if record_["arm"] == "evolution":
                record_["rows"][:] = record_["rows"][:1] * 4
        scores = table_scores.TableScores(small, scores.records)
        (verdict,) = [v for v in self.verdicts(scores) if v[1] == "evolution, 4 cells"]
        assert verdict[2] is False

    def test_what_was_not_measured_is_said(self, scored):
        assert {holds for *_, holds in self.verdicts(scored(random=0))} == {None}


def test_the_report_has_every_arm_and_the_published_figures(scored):
    text = table_report.markdown(scored(**dict.fromkeys(ARMS, 0)))
    assert all(f"| `{arm}` |" in text for arm in ARMS)
    assert "| GDAS | 93.61 | 70.70 | 41.84 |" in text


class TestFidelity:
    def test_curves_are_flat_between_known_epochs(self):
        curves = fidelity.by_epoch(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), [1, 4, 12, 25, 52])
        assert curves.shape == (1, 52)
        assert curves[0, [0, 2, 3, 10, 11, 50, 51]].tolist() == [1, 1, 2, 2, 3, 4, 5]

    def test_the_same_epochs_go_to_more_trials_when_they_are_stopped(self, small):
        full, stopped = fidelity.FULL, 4  # epochs; the first three trials go on
        epochs = 3 * full + 5 * stopped
        curves = np.zeros((9, full))
        order = [int(row) for row, *_ in fidelity.search(job("random"), small, curves, 8 * full)]
        # Each one that is tried is worse than those before.
        curves[order] = np.linspace(1.0, 0.3, 8)[:, None] * np.linspace(0.5, 1.0, full)
        tried = {
            arm: fidelity.search(job(arm), small, curves, epochs)
            for arm in ("random", "random_asha")
        }
        assert [each[1] for each in tried["random"]] == [full] * 4
        assert [each[1] for each in tried["random_asha"]] == [full] * 3 + [stopped] * 5
        for row, trained, best in tried["random_asha"]:
            assert best == round(curves[row, :trained].max(), 4)
