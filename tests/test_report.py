"""The report as a page: what it says, that it is whole, and that nothing breaks it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import EVIDENCE, SPACE, fill, make_config, make_history, make_run, make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni.cli.explanation import explain_trial
from meta_nni.report import ReportError, leave_report, render, report_path, write_report
from meta_nni.report.charts import num_off, pareto_front
from meta_nni.report.decisions import expected_effects, explained_shares
from meta_nni.report.page import costs
from meta_nni.report.plot import Axis
from meta_nni.report.sources import OWN, based_on, shares_of
from meta_nni.report.trials import listed
from meta_nni.store import ExperienceStore
from meta_nni.testing import history_of
from meta_nni.trial import History, Result, Suggestion, Trial

FINITE = st.floats(allow_nan=False, allow_infinity=False)


class Page(HTMLParser):
    """The elements and the texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def classes(self, tag: str) -> list[str]:
        return [attributes.get("class") or "" for name, attributes in self.tags if name == tag]


def trial(number: int, value: float | None, mean: float | None = 0.8, **fields: Any) -> Trial:
    result = fields.pop("result", {})
    config = make_config(rate=(number + 1) / 1000)
    suggestion = Suggestion(config, "adapted", mean, 0.05, 12.0, **fields)
    reason = "out of memory" if value is None else None
    return Trial(str(number), number, suggestion).with_result(
        Result(value, reason=reason, **({"seconds": 10.0} | result))
    )


@pytest.fixture
def history() -> History:
    """Inside its interval, outside, failed, and the best; evidence with the first."""
    return History(
        make_run("nni-abc"),
        (
            trial(0, 0.82, evidence=EVIDENCE, result={"metrics": {"parameters": 900.0}}),
            trial(1, 0.6, result={"metrics": {"parameters": 100.0}}),
            trial(2, None),
            trial(3, 0.9, mean=0.87, result={"metrics": {"parameters": 500.0}}),
        ),
    )


class TestPage:
    def test_it_says_what_was_found(self, history: History) -> None:
        page = Page(render(history, "my store.db"))
        for text in (
            "run nni-abc · maximize val_accuracy · recipe image-v1",
            "0.9 best value, trial 3",
            "4 trials, 3 measured, 1 failed",
            "2 of 3 values inside their 90% interval",
            "40 s spent in trials",
            "From 0.82 at trial 0 to 0.9 at trial 3, the best.",
            "3 predicted and measured: 90% intervals hold 2 of 3 (67%)",
            "The Pareto front is trials 1, 3:",
            "meta-nni best nni-abc --store 'my store.db' --data train.npz --export model.keras",
            "70% fashion (earlier): trial 3",
        ):
            assert text in page.text

    def test_each_mark_is_drawn(self, history: History) -> None:
        dots = Page(render(history, "s.db")).classes("circle")
        best_so_far = ["measured", "measured faint", "measured"]
        predicted = ["predicted", "measured", "predicted", "measured miss", "predicted"]
        predicted += ["predicted", "measured"]
        seconds = ["predicted"] * 4
        pareto = ["measured faint", "measured", "measured"]
        assert dots == best_so_far + predicted + seconds + pareto
        assert Page(render(history, "s.db")).classes("rect").count("spent") == 3

    def test_it_needs_nothing_else(self, history: History) -> None:
        page = Page(render(history, "s.db"))
        names = {name for name, _ in page.tags}
        assert not names & {"script", "link", "img", "iframe", "object", "use", "image"}
        for _, attributes in page.tags:
            assert not set(attributes) & {"src", "href", "srcset", "action", "onclick"}
        (policy,) = [a["content"] for _, a in page.tags if "http-equiv" in a]
        assert policy == "default-src 'none'; style-src 'unsafe-inline'"

    def test_hostile_texts_stay_texts(self) -> None:
        hostile = "</title><script>alert(1)</script>\x00\ud800\n\"'&amp;"
        evidence = {"tasks": [{"task": hostile, "run_id": hostile, "weight": 0.5}], "own": hostile}
        evidence["decisions"] = [{"parameter": hostile, "value": {hostile: hostile}, "effect": 1}]
        history = History(
            replace(make_run(task=hostile), run_id=hostile, metric=hostile, recipe=hostile),
            (
                trial(0, 0.5, evidence=evidence, why=hostile, result={"metrics": {hostile: 2.0}}),
                trial(1, 0.6, result={"metrics": {hostile: 3.0}}),
                Trial("2", 2, Suggestion(make_config(), hostile)).with_result(
                    Result.failed(hostile)
                ),
            ),
        )
        text = render(history, hostile, hostile)
        assert text.encode("utf-8")
        assert "script" not in {name for name, _ in Page(text).tags}
        assert "<script>" in Page(text).text
        assert not set(text) & {"\x00", "\ud800"}

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_run_that_has_just_begun(self, number: int) -> None:
        pending = (Trial("0", 0, Suggestion(make_config(), "random")),)
        page = Page(render(History(make_run(), pending[:number]), "s.db"))
        assert "No trial has been measured yet." in page.text
        assert f"{number} trials, 0 measured" in page.text

    def test_a_smaller_value_can_be_the_better_one(self) -> None:
        history = History(make_run("low", "minimize"), (trial(0, 0.5), trial(1, 0.2)))
        assert "0.2 best value, trial 1" in Page(render(history, "s.db")).text

    def test_a_far_worse_value_does_not_flatten_the_others(self) -> None:
        outcomes = [(make_config(rate=0.001 * (n + 1)), 0.8 + n / 100) for n in range(9)]
        history = history_of(make_run(), [*outcomes, (make_config(depth=2), -1e30)])
        assert num_off(history) == 1
        page = Page(render(history, "s.db"))
        assert "1 hollow dot lies farther off than drawn." in page.text
        assert page.classes("circle").count("measured faint off") == 1

    def test_long_runs_list_the_best_and_the_last(self) -> None:
        outcomes = [(make_config(rate=0.0002 * (n + 1)), -n / 1000) for n in range(500)]
        history = history_of(make_run(), outcomes)
        shown = listed(history, [explain_trial(each) for each in history.trials])
        assert [each.number for each in shown] == [*range(100), *range(400, 500)]
        assert "The best and the last 200 of 500." in Page(render(history, "s.db")).text

    @given(st.lists(st.tuples(FINITE, FINITE, FINITE), max_size=5))
    @settings(max_examples=50)
    def test_any_numbers_can_be_drawn(self, rows: list[tuple[float, float, float]]) -> None:
        trials = tuple(
            Trial(str(n), n, Suggestion(make_config(), "x", mean, std, seconds=mean)).with_result(
                Result(value, seconds=std, metrics={"parameters": abs(value)})
            )
            for n, (mean, std, value) in enumerate(rows)
        )
        text = render(History(make_run(), trials), "s.db")
        numbers = [
            attributes[name]
            for _, attributes in Page(text).tags
            for name in ("x1", "x2", "y1", "y2", "cx", "cy", "x", "width", "height")
            if attributes.get(name)
        ]
        assert all(
            -1 <= float(each.rstrip("%")) <= 101
            for each in numbers
            if each != "-8"  # a label
        )


class TestAxis:
    @given(st.lists(FINITE, min_size=1, max_size=6))
    def test_linear_axes_hold_their_values(self, values: list[float]) -> None:
        axis = Axis.linear(values)
        assert axis.low < axis.high
        assert all(0 <= axis.place(value) <= 1 for value in values)
        assert len(axis.ticks) <= 12
        assert all(axis.low <= tick <= axis.high for tick in axis.ticks)

    @given(st.lists(st.floats(min_value=1e-308, max_value=1.7e308), min_size=1, max_size=6))
    def test_logarithmic_axes_hold_their_values(self, values: list[float]) -> None:
        axis = Axis.powers(values)
        places = [axis.place(value) for value in sorted(values)]
        assert places == sorted(places)
        assert 0 <= places[0] <= places[-1] <= 1
        assert axis.ticks

    def test_ticks_are_round(self) -> None:
        assert Axis.linear([0.61, 0.93]).ticks == pytest.approx((0.6, 0.7, 0.8, 0.9))
        assert Axis.numbers(10).ticks == (0, 2, 4, 6, 8)
        assert Axis.numbers(1).ticks == (0,)
        assert Axis.powers([10.0, 90_000.0]).ticks == (10, 100, 1_000, 10_000, 100_000)


class TestParetoFront:
    @given(
        st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12),
        st.sampled_from([1.0, -1.0]),
    )
    def test_nothing_on_it_is_dominated_and_nothing_else_is_missing(
        self, rows: list[tuple[int, int]], sign: float
    ) -> None:
        points = [(trial(n, float(value)), float(cost)) for n, (value, cost) in enumerate(rows)]
        front = {(sign * (t.value or 0.0), cost) for t, cost in pareto_front(points, sign)}
        pairs = {(sign * value, float(cost)) for value, cost in rows}
        expected = {
            (v, c)
            for v, c in pairs
            if not any((w >= v and d <= c) and (w, d) != (v, c) for w, d in pairs)
        }
        assert front == expected

    def test_what_can_be_held_against_values(self, history: History) -> None:
        assert {name: len(points) for name, points in costs(history).items()} == {
            "seconds": 3,
            "parameters": 3,
        }


class TestImportance:
    def test_expected_effects_are_means_over_proposals_that_name_any(self) -> None:
        def naming(**effects: float) -> dict[str, Any]:
            entries = [{"parameter": k, "value": 1, "effect": v} for k, v in effects.items()]
            return {"decisions": entries}

        trials = (
            trial(0, 0.5, evidence=naming(rate=0.4, layer=-0.1)),
            trial(1, 0.7, evidence=naming(rate=-0.2)),
            trial(2, 0.6),
        )
        history = History(make_run(), trials)
        found = expected_effects(history, [explain_trial(each) for each in trials])
        assert [(each.parameter, each.size) for each in found] == [
            ("rate", pytest.approx(0.3)),
            ("layer", pytest.approx(0.05)),
        ]
        assert [each.best for each in found] == [0.002, "conv"]

    def test_what_nothing_is_expected_of_is_left_out(self) -> None:
        evidence = {
            "decisions": [{"parameter": "rate", "value": 1, "effect": 0.0}],
            "own": [{"number": 0, "value": 0.5, "weight": 0.0}],
        }
        trials = (trial(0, 0.5, evidence=evidence),)
        explained = [explain_trial(each) for each in trials]
        assert expected_effects(History(make_run(), trials), explained) == []
        drawn = based_on(explained)
        assert drawn is not None
        assert not [bar for bar in drawn[0].iter("rect") if "share-unnamed" in bar.get("class", "")]

    def test_explained_shares_are_omega_squared(self) -> None:
        """By hand: groups 1,2,3 / 5,6,7 / 9,10,11 have SSB 96, SSW 6, MSW 1; 94 / 103."""
        depths, values = [1, 1, 1, 2, 2, 2, 3, 3, 3], [1, 2, 3, 5, 6, 7, 9, 10, 11]
        outcomes = [
            (make_config(depth=d, rate=0.01), float(v)) for d, v in zip(depths, values, strict=True)
        ]
        (found,) = explained_shares(history_of(make_run(), outcomes))
        assert found.parameter == "block/depth"
        assert found.size == pytest.approx((96 - 2 * 1) / (102 + 1))
        assert found.best == 3

    def test_chance_explains_little(self, rng: np.random.Generator) -> None:
        outcomes = [(SPACE.sample(rng), float(rng.normal())) for _ in range(300)]
        assert all(each.size < 0.05 for each in explained_shares(history_of(make_run(), outcomes)))

    def test_few_trials_explain_nothing(self, history: History) -> None:
        assert explained_shares(history) == []


class TestSources:
    def test_shares_count_either_way(self) -> None:
        evidence = {
            "tasks": [{"task": "a", "weight": -0.25}, {"task": "b", "weight": 0.5}],
            "own": [{"number": 0, "weight": -0.1}, {"number": 1, "weight": 0.1}],
        }
        shares = shares_of(explain_trial(trial(0, 0.5, evidence=evidence)))
        assert shares == {"a": 0.25, "b": 0.5, OWN: pytest.approx(0.2)}

    def test_bars_are_whole(self) -> None:
        tasks = [{"task": f"task {n}", "weight": 0.1 + n / 1000} for n in range(6)]
        drawn = based_on([explain_trial(trial(0, 0.5, evidence={"tasks": tasks}))])
        assert drawn is not None
        plot, legend = drawn
        heights = [float(bar.get("height", "0").rstrip("%")) for bar in plot.iter("rect")]
        assert sum(heights) == pytest.approx(100, abs=0.1)
        names = [entry.find("i").tail for entry in legend]  # type: ignore[union-attr]
        assert names == ["task 5", "task 4", "task 3", "task 2", "other tasks", "not named"]

    def test_no_evidence_no_drawing(self) -> None:
        assert based_on([explain_trial(trial(0, 0.5))]) is None


class TestFile:
    def test_it_lies_beside_the_store(self, tmp_path: Path, history: History) -> None:
        path = report_path(str(tmp_path / "e.db"), history)
        assert path == tmp_path / "e.db.reports" / "nni-abc.html"
        assert report_path("postgresql://u:secret@h/db", history).parent.name.endswith(".reports")

    @pytest.mark.parametrize("run_id", ["../../etc/passwd", "/a", "..", "a\0b", "é" * 300, ""])
    def test_no_name_leads_out_of_the_folder(self, tmp_path: Path, run_id: str) -> None:
        history = History(make_run(run_id))
        path = report_path(str(tmp_path / "e.db"), history)
        assert path.resolve().parent == tmp_path / "e.db.reports"
        write_report(history, "e.db", path)
        assert path.is_file()

    def test_different_names_have_different_files(self, tmp_path: Path) -> None:
        names = ["a/b", "a-b", "a\\b", "a b"]
        paths = {report_path(str(tmp_path / "e.db"), History(make_run(n))) for n in names}
        assert len(paths) == len(names)

    def test_what_cannot_be_written_leaves_what_was_there(
        self, tmp_path: Path, history: History
    ) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ReportError, match=r"report\.html cannot be written: File exists"):
            write_report(history, "s.db", tmp_path / "file" / "report.html")
        assert (tmp_path / "file").read_text() == "mine"
        assert [each.name for each in tmp_path.iterdir()] == ["file"]

    def test_a_search_leaves_one(self, store: ExperienceStore) -> None:
        history = make_history()
        fill(store, history)
        leave_report(store, "run")
        path = report_path(store.name, history)
        assert "0.9 best value" in Page(path.read_text("utf-8")).text

    def test_a_search_goes_on_without(
        self, store: ExperienceStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)  # whatever others left
        leave_report(store, "missing")
        assert "no report of run missing was left" in caplog.text

    def test_the_tuner_of_nni_leaves_one_at_its_end(self, tmp_path: Path) -> None:
        from meta_nni import MetaTuner

        tuner = MetaTuner(store=str(tmp_path / "e.db"), knowledge="none", seed=0)
        tuner.update_search_space({"x": {"_type": "choice", "_value": [1, 2]}})
        tuner.generate_parameters(0)
        tuner.receive_trial_result(0, {}, 0.75)
        tuner._on_exit()
        (path,) = (tmp_path / "e.db.reports").iterdir()
        assert "0.75 best value, trial 0" in Page(path.read_text("utf-8")).text


def test_texts_of_any_json_are_shown(tmp_path: Path) -> None:
    evidence: dict[str, Any] = {"tasks": 3, "own": [None, {"number": "1"}], "decisions": {}}
    page = render(History(make_run(), (trial(0, 0.5, evidence=evidence),)), "s.db")
    assert json.dumps(make_config(rate=0.001)) in Page(page).text


def test_the_front_is_against_the_runs_own_objective_and_limits_are_named():
    extra = {"objectives": ["value", "latency_ms"], "limits": {"latency_ms": 8}}
    trials = [
        make_trial(i).with_result(Result(v, metrics={"latency_ms": ms, "parameters": 9.0 - ms}))
        for i, (v, ms) in enumerate([(0.9, 7.0), (0.8, 5.0)])
    ]
    page = render(History(make_run(extra=extra), tuple(trials)), "store.db")
    assert "Value against latency_ms" in page
    assert "latency_ms at most 8" in page
