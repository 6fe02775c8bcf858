"""The overhead of MetaAutoTuner: what the rows say, and a real project without training."""

import numpy as np
import pytest


@pytest.mark.host
class TestOverhead:
    def test_a_project_is_timed_in_all_its_parts(self, tmp_path):
        from experiments.autokeras_overhead.run import search

        (tmp_path / "tabular").mkdir()
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
        np.savez(tmp_path / "tabular/adult.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        rows = list(search("tabular", tmp_path, trials=3, seed=1))
        assert [row["number"] for row in rows] == [1, 1, 1, 2, 3]
        assert rows[1]["what"] == "tabular: metafeatures of 60 rows"
        for row in rows:
            assert 0 < float(row["clock median"]) <= float(row["clock p95"])
            assert float(row["clock p95"]) <= float(row["clock most"])
        first, later = (float(rows[place]["processor median"]) for place in (2, 3))
        assert first > 0
        assert later > 0

    def test_a_call_is_counted_even_if_it_fails(self):
        from experiments.autokeras_overhead.run import Stopwatch

        watch = Stopwatch()
        assert watch.timed(lambda x: x + 1)(1) == 2
        with pytest.raises(ZeroDivisionError):
            watch.timed(lambda: 1 / 0)()
        assert watch.row("calls")["number"] == 2

    def test_metafeatures_are_timed(self):
        from experiments.autokeras_overhead.run import metafeatures

        row = metafeatures(seed=0, count=40)
        assert row["what"] == "metafeatures of 40 images of 32 x 32 x 3"
        assert float(row["clock median"]) > 0
