"""What is fuzzed: files to import, stores to open, checkpoints to load.

Each target makes the n-th input from a seed, feeds it, and says whether it was taken or
refused; whatever else is raised, and every broken promise, is a finding.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from experiments.fuzz.mutate import NASTY, damaged_bytes, damaged_json, damaged_text
from meta_nni import ExperienceStore, History, Result, Run, SearchSpace, Suggestion, Task, Trial
from meta_nni.checkpoint import CheckpointError
from meta_nni.experience import ExperienceError, read_experience, write_experience
from meta_nni.policy.decisions import Decisions
from meta_nni.policy.head import Head
from meta_nni.policy.network import NUM_FEATURES, Network
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.store import StoreError

__all__ = ["TARGETS", "Broken", "Target"]

SPACE = SearchSpace.from_nni(
    {
        "depth": {"_type": "choice", "_value": [1, 2, 3]},
        "rate": {"_type": "loguniform", "_value": [0.0001, 1.0]},
        "layer": {
            "_type": "choice",
            "_value": [
                {"_name": "conv", "kernel": {"_type": "randint", "_value": [1, 8]}},
                {"_name": "pool"},
            ],
        },
    }
)


class Broken(AssertionError):
    """A promise was broken."""


class Target(Protocol):
    """A reader of input from outside."""

    def __init__(self, folder: Path) -> None: ...

    def feed(self, rng: np.random.Generator) -> bool:
        """Makes an input and feeds it; returns whether it was taken, False if refused.

        Raises:
            Broken: A promise was broken.
        """
        ...


def histories(rng: np.random.Generator) -> list[History]:
    """Three small runs with every state of a trial and every optional field."""
    return [_history(f"run-{number}", rng) for number in range(3)]


def _history(run_id: str, rng: np.random.Generator) -> History:
    evidence = {"own": [{"number": 0, "value": 0.5, "weight": 0.1}], "no_transfer": 0.25}
    trials = []
    for number in range(4):
        suggestion = Suggestion(SPACE.sample(rng), "adapted", 0.5, 0.1, 3.0, "like run 7", evidence)
        trials.append(Trial(str(number), number, suggestion, extra={"host": [number, "x"]}))
    curve, metrics, budget = (0.1, 0.5), {"precision": 0.5}, {"epochs": 2.0}
    trials[0] = trials[0].with_result(Result(0.5, None, 3.0, curve, metrics, budget))
    trials[1] = trials[1].with_result(Result.failed("out of memory", 1.0))
    task = Task("task", "maximize", {"n_train": 100.0})
    run = Run(run_id, task, SPACE, "accuracy", "r1", {"device": "cpu"}, {"note": {"a": [1]}})
    return History(run, tuple(trials))


class _Import:
    """Files imported into a store that knows one of their runs."""

    suffix = ".jsonl"

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"input{self.suffix}"
        self._file = folder / "store.db"
        self._stream = io.BytesIO()
        rng = np.random.default_rng(0)
        self._known = histories(rng)
        write_experience(self._known, self._stream)
        self._open()

    def _open(self) -> None:
        for path in self._file.parent.glob("store.db*"):
            path.unlink()
        self._store = ExperienceStore.open(self._file)
        first = self._known[0]
        self._store.add_run(first.run)
        self._store.add_trials(first.run.run_id, first.trials[:2])
        self._watch = sqlite3.connect(self._file)
        self._state = self._version()

    def _version(self) -> int:
        """Changes whenever anything is committed to the store."""
        return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def _input(self, rng: np.random.Generator) -> bytes:
        change = damaged_bytes if rng.random() < 0.4 else damaged_text
        return change(self._stream.getvalue(), rng)

    def feed(self, rng: np.random.Generator) -> bool:
        self._path.write_bytes(self._input(rng))
        try:
            self._store.import_(self._path)
        except ExperienceError as error:
            if not str(error).startswith(f"{self._path}"):
                raise Broken(f"the file is not named: {error}") from error
            if "cannot be read" not in str(error) and ", line " not in str(error):
                raise Broken(f"the line is not named: {error}") from error
        except StoreError as error:
            if "run " not in str(error) and "too big" not in str(error):
                raise Broken(f"the run is not named: {error}") from error
        else:
            self._check_taken()
            return True
        if self._version() != self._state:
            raise Broken("the import was refused, but the store changed")
        return False

    def _check_taken(self) -> None:
        """What was taken can be read, written, and read again to the same."""
        export = self._path.with_name("export.jsonl")
        found = self._store.histories()
        self._store.export(export)
        kept = {history.run.run_id: history for history in read_experience(export)}
        for history in found:
            ours = [trial.value for trial in kept[history.run.run_id].trials]
            if ours != [trial.value for trial in history.trials]:
                raise Broken(f"run {history.run.run_id!r} is exported with other values")
        self._watch.close()
        self._store.close()
        self._open()


class Files(_Import):
    """Experience files."""


class PackedFiles(_Import):
    """Compressed ones: damage inside, and of the archive itself."""

    suffix = ".jsonl.gz"

    def _input(self, rng: np.random.Generator) -> bytes:
        if rng.random() < 0.5:
            return gzip.compress(super()._input(rng), mtime=0)
        return damaged_bytes(gzip.compress(self._stream.getvalue(), mtime=0), rng)


class Stores:
    """SQLite stores: bytes of the file, and values that SQLite lets stand in any column."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "any.db"
        store = ExperienceStore.open(folder / "base.db")
        for history in histories(np.random.default_rng(0)):
            store.add_run(history.run)
            store.add_trials(history.run.run_id, history.trials)
        store.close()
        self._base = (folder / "base.db").read_bytes()
        self._export = folder / "export.jsonl"

    def feed(self, rng: np.random.Generator) -> bool:
        for path in self._path.parent.glob("any.db*"):
            path.unlink()
        if rng.random() < 0.5:
            self._path.write_bytes(damaged_bytes(self._base, rng))
        else:
            self._path.write_bytes(self._base)
            self._change_cells(rng)
        try:
            store = ExperienceStore.open(self._path)
        except StoreError as error:
            self._check_named(error)
            return False
        with contextlib.closing(store):
            results = [self._used(call) for call in self._calls(store)]
        return all(results)

    def _change_cells(self, rng: np.random.Generator) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            for _ in range(rng.integers(1, 3)):
                table = ("meta_nni_run", "meta_nni_trial", "meta_nni_schema")[rng.integers(3)]
                columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
                column = columns[rng.integers(len(columns))][1]
                row = f"rowid = {rng.integers(1, 8)}"
                with contextlib.suppress(sqlite3.IntegrityError):
                    old = connection.execute(f"SELECT {column} FROM {table} WHERE {row}").fetchone()
                    value = _cell(old[0] if old else None, rng)
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {row}", (value,))
            connection.commit()

    def _calls(self, store: ExperienceStore) -> list[Any]:
        run_ids = [f"run-{number}" for number in range(3)]
        return [
            store.runs,
            store.histories,
            store.count,
            *(lambda run_id=run_id: store.history(run_id) for run_id in run_ids),
            lambda: store.export(self._export),
            lambda: store.add_run(histories(np.random.default_rng(0))[0].run),
            lambda: store.finish("run-0", "2", Result(0.25)),
        ]

    def _used(self, call: Any) -> bool:
        try:
            found = call()
        except (StoreError, ExperienceError) as error:
            self._check_named(error)
            return False
        for history in found if isinstance(found, list) else [found]:
            if isinstance(history, History):
                for trial in history.trials:
                    history.run.space.validate(trial.config)
        return True

    def _check_named(self, error: Exception) -> None:
        if str(self._path) not in str(error) and "run " not in str(error):
            raise Broken(f"neither store nor run is named: {error}") from error


def _cell(old: Any, rng: np.random.Generator) -> Any:
    """A value for a cell of SQLite: damaged text, or anything else."""
    if isinstance(old, str) and rng.random() < 0.6:
        if old[:1] in "[{" and rng.random() < 0.5:
            return json.dumps(damaged_json(json.loads(old), rng))
        return damaged_bytes(old.encode(), rng).decode("utf-8", "replace")
    value = NASTY[rng.integers(len(NASTY))]
    if isinstance(value, int) and abs(value) >= 2**63:
        value = float(min(value, 10**308))
    if isinstance(value, str):
        return (
            value.encode("utf-8", "surrogatepass")
            if rng.random() < 0.3
            else value.replace("\ud800", "?")
        )
    return json.dumps(value) if isinstance(value, (list, dict)) else value


class Checkpoints:
    """Checkpoints: bytes of the archive, headers of arrays, and texts with the right hash."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "policy.npz"
        head = Head(np.zeros(NUM_FEATURES), 1.0, 0.25)
        network = Network.initial(Decisions(SPACE), 0)
        NeuralPolicy(network, head, 10, 0, {"run": 4}).save(self._path)
        self._base = self._path.read_bytes()
        with zipfile.ZipFile(self._path) as archive:
            self._members = {name: archive.read(name) for name in archive.namelist()}

    def feed(self, rng: np.random.Generator) -> bool:
        way = rng.random()
        if way < 0.4:
            self._path.write_bytes(damaged_bytes(self._base, rng))
        else:
            self._rewrite(rng, seal=way > 0.7)
        try:
            policy = NeuralPolicy.load(self._path, SPACE)
        except CheckpointError as error:
            if str(self._path) not in str(error):
                raise Broken(f"the file is not named: {error}") from error
            return False
        if not all(np.isfinite(array).all() for array in policy.network.weights.values()):
            raise Broken("a number that is not finite was taken")
        return True

    def _rewrite(self, rng: np.random.Generator, seal: bool) -> None:
        """Changes one member of the archive; its hash is mended if `seal`."""
        members = dict(self._members)
        name = list(members)[rng.integers(len(members))]
        if seal:
            members["about.npy"] = self._sealed(members, rng)
        else:
            head, body = members[name][:128], members[name][128:]
            members[name] = damaged_bytes(head, rng) + body
        with zipfile.ZipFile(self._path, "w") as archive:
            for each, content in members.items():
                archive.writestr(each, content)

    def _sealed(self, members: dict[str, bytes], rng: np.random.Generator) -> bytes:
        about = json.loads(np.load(io.BytesIO(members["about.npy"])).tobytes())
        about.pop("sha256")
        about = damaged_json(about, rng)
        if rng.random() < 0.5:
            name = [each for each in members if each != "about.npy"][rng.integers(2)]
            members[name] = _npy(_odd_array(np.load(io.BytesIO(members[name])), rng))
        arrays = {
            name.removesuffix(".npy"): np.load(io.BytesIO(content))
            for name, content in members.items()
            if name != "about.npy"
        }
        if isinstance(about, dict):
            about["sha256"] = _digest(arrays, about)
        return _npy(np.frombuffer(json.dumps(about).encode(), np.uint8))


def _odd_array(array: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    odd = [
        lambda: np.full_like(array, np.nan),
        lambda: np.full_like(array, 3e38),
        lambda: array[..., :-1],
        lambda: array.astype(np.int64),
        lambda: array.astype("S8"),
        lambda: array.astype(np.complex64),
        lambda: array.astype(">f8"),
        lambda: np.zeros((0, *array.shape), np.float32),
    ]
    return odd[rng.integers(len(odd))]()


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def _digest(arrays: dict[str, np.ndarray[Any, Any]], about: dict[str, Any]) -> str:
    """The hash as an attacker would compute it, who reads how `checkpoint` does."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


TARGETS: dict[str, tuple[type[Target], float]] = {
    "files": (Files, 0.4),
    "packed files": (PackedFiles, 0.15),
    "stores": (Stores, 0.2),
    "checkpoints": (Checkpoints, 0.25),
}
"""Each target, and its share of all inputs."""
