from __future__ import annotations

from pathlib import Path

import pytest
from histories import SPACE

from meta_nni import store_checkpoints
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore, StoreError
from meta_nni.store_checkpoints import checkpoint_path, first_checkpoint

OTHER = SearchSpace.from_nni({"x": {"_type": "uniform", "_value": [0, 1]}})


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    folder = tmp_path / "data"
    monkeypatch.setattr(store_checkpoints.platformdirs, "user_data_dir", lambda app: str(folder))
    return folder


def test_beside_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tmp_path / "a.db.checkpoints" / f"{SPACE.fingerprint[:16]}.npz"
    store = ExperienceStore.open(tmp_path / "a.db")
    monkeypatch.chdir(tmp_path)
    for address in (store.name, tmp_path / "a.db", f"sqlite:///{tmp_path}/a.db", "a.db"):
        assert checkpoint_path(address, SPACE) == expected
    assert checkpoint_path(store.name, OTHER).parent == expected.parent
    assert checkpoint_path(store.name, OTHER) != expected


def test_in_the_users_data_folder_for_other_databases(data: Path) -> None:
    path = checkpoint_path("postgresql://u@h/n", SPACE)
    assert path.parent.parent == data / "checkpoints"
    assert path.name == f"{SPACE.fingerprint[:16]}.npz"
    assert checkpoint_path("postgresql://u@h/other", SPACE).parent != path.parent


def test_a_password_does_not_count_and_is_not_shown(data: Path) -> None:
    addresses = ["postgresql://u@h/n", "postgresql://u:secret@h/n", "postgresql://u:***@h/n"]
    paths = {checkpoint_path(f"{address}", SPACE) for address in addresses}
    paths.add(checkpoint_path("postgresql+psycopg://u:***@h/n", SPACE))
    assert len(paths) == 1
    assert "secret" not in str(paths)


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(StoreError, match="begins with 'mysql'"):
        checkpoint_path("mysql://u@h/n", SPACE)


class TestFirst:
    @pytest.fixture
    def shipped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        networks = {SPACE.fingerprint: b"a network"}
        monkeypatch.setattr(
            store_checkpoints, "shipped_checkpoint", lambda space: networks.get(space.fingerprint)
        )

    def test_the_shipped_one_is_put_there(self, tmp_path: Path, shipped: None) -> None:
        path = first_checkpoint(tmp_path / "a.db", SPACE, "shipped")
        assert path == checkpoint_path(tmp_path / "a.db", SPACE)
        assert path.read_bytes() == b"a network"
        assert list(path.parent.iterdir()) == [path]

    def test_the_users_own_is_kept(self, tmp_path: Path, shipped: None) -> None:
        path = checkpoint_path(tmp_path / "a.db", SPACE)
        path.parent.mkdir()
        path.write_bytes(b"learned since")
        assert (
            first_checkpoint(tmp_path / "a.db", SPACE, "shipped").read_bytes() == b"learned since"
        )

    @pytest.mark.parametrize(("space", "knowledge"), [(SPACE, "none"), (OTHER, "shipped")])
    def test_none_without_the_knowledge_or_for_another_space(
        self, tmp_path: Path, shipped: None, space: SearchSpace, knowledge: str
    ) -> None:
        assert not first_checkpoint(tmp_path / "a.db", space, knowledge).exists()

    def test_a_folder_that_cannot_be_written_is_no_error(
        self, tmp_path: Path, shipped: None
    ) -> None:
        (tmp_path / "a.db.checkpoints").write_text("in the way")
        assert not first_checkpoint(tmp_path / "a.db", SPACE, "shipped").exists()
