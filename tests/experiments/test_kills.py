import json

from experiments.kills import run
from experiments.kills.sessions import judge
from experiments.kills.trial import expected
from experiments.kills.victim import SPACE
from meta_nni import Run, SearchSpace, Suggestion, Task, Trial
from meta_nni.trial import History, Result


def history(*trials):
    run = Run("r", Task("kills"), SearchSpace.from_nni(SPACE))
    return History(run, tuple(trials))


def trial(number, x, result=None, state=None):
    config = {"x": x, "y": 3}
    proposed = Trial(str(number), number, Suggestion(config, "random"))
    return proposed if result is None else proposed.with_result(result)


def finished(number, x):
    return trial(number, x, expected({"x": x, "y": 3}))


def counts(*trials, ended=(), may_fail=0):
    struck = {trial.trial_id for trial in trials}
    found = judge(history(*trials), [{"x": x, "y": 3} for x in ended], struck, may_fail)
    return {name: count for name, count in found.items() if count}


def test_a_store_that_has_every_result_once_is_sound():
    assert counts(finished(0, 1), finished(1, 2), ended=[1, 2, 2]) == {}


def test_each_kind_of_damage_is_counted():
    assert counts(finished(0, 1), ended=[1, 2]) == {"missing": 1}
    assert counts(finished(0, 1), finished(1, 1), ended=[1]) == {"repeated": 1}
    assert counts(trial(0, 1, Result(5.0))) == {"wrong": 1}
    assert counts(trial(0, 1, Result(13.0))) == {"wrong": 1}  # half a result: no curve
    assert counts(trial(0, 1)) == {"unresolved": 1}
    assert counts(trial(0, 1, Result.failed("killed"))) == {"failed": 1}
    assert counts(trial(0, 1, Result.failed("killed")), may_fail=1) == {}


def test_the_command_goes_on_where_it_stopped_and_fails_on_damage(tmp_path, monkeypatch, capsys):
    sessions = []

    def kills(folder, rng, number):
        sessions.append((rng.integers(1000), number))
        record = {"moment": 0.5, "finished": 7, "lost": len(sessions) // 3}
        return [record] * number

    monkeypatch.setattr(run, "KINDS", {"tuner": kills})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    output = tmp_path / "kills.jsonl"
    command = ["run", "--at-once", "2", "--output", str(output), "--kinds", "tuner", "--kills"]
    monkeypatch.setattr("sys.argv", [*command, "3"])
    assert run.main() == 0
    assert [number for _, number in sessions] == [2, 1]
    assert run.main() == 0
    assert len(sessions) == 2
    monkeypatch.setattr("sys.argv", [*command, "4"])
    assert run.main() == 1
    assert len({draw for draw, _ in sessions}) == 3
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["session"] for line in lines] == [0, 0, 2, 3]
    assert "| tuner | 4 | 2 | 0.50 to 0.50 | 28 | 1 |" in capsys.readouterr().out


def test_all_recorded_kills_were_survived():
    records = run.read(run.KILLS)
    assert {record["kind"] for record in records} == set(run.KINDS)
    assert sum(map(run.damage, records)) == 0
