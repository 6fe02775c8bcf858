"""Which parts of the package may import which, and what `import meta_nni` loads."""

import ast
import importlib
import importlib.metadata
import importlib.resources
import json
import subprocess
import sys
from pathlib import Path

import pytest

import meta_nni

PACKAGE = Path(meta_nni.__file__).parent
GROUPS = {
    "values": (
        *("checkpoint", "limits", "metrics", "objectives"),
        *("parameter", "space", "task", "trial"),
    ),
    "data": ("data", "landmarkers", "metafeatures", "metafeatures_*"),
    "store": ("store", "store_*", "experience", "experience_*", "knowledge"),
    "deciding": ("policy", "controllers"),
    "search": ("search",),
    "models": ("models", "oneshot"),
    "hosts": ("adapters", "cli", "report"),
    "testing": ("testing",),
}
MAY_IMPORT = {
    "values": set(),
    "data": set(),
    "store": {"values"},
    "deciding": {"values"},  # a controller never touches a store, a store never decides
    "search": {"values", "store", "deciding"},
    "models": {"values", "data"},
    "testing": {"values", "data", "store", "deciding", "search"},
    "hosts": {"values", "data", "store", "deciding", "search", "models"},
}
CORE = {"numpy", "scipy", "sqlalchemy", "platformdirs", "threadpoolctl"}
HEAVY = ("tensorflow", "keras", "nni", "autokeras", "keras_tuner", "sklearn", "pandas")
HEAVY += ("matplotlib", "networkx")
LIBRARIES = {
    "data": CORE | {"PIL"},
    "deciding": CORE | {"tensorflow", "keras"},
    "models": CORE
    | {"autokeras", "keras", "keras_tuner", "sklearn", "tensorflow", "tree"}
    | {"matplotlib", "networkx", "PIL", "pycocotools"},
    "hosts": CORE
    | {"autokeras", "keras", "keras_tuner", "nni", "packaging", "psutil"}
    | {"sklearn", "tensorflow", "tqdm", "tree"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def group_of(part):
    """The group of a module or folder at the top of the package."""
    for group, names in GROUPS.items():
        if any(Path(part).match(name) for name in names):
            return group
    raise AssertionError(f"meta_nni.{part} belongs to no group; add it to GROUPS in {__file__}")


def imports(file):
    """All modules that a file imports, also inside functions and for type checking."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the full name"
            yield node.module


def part_of(file):
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file):
    part = part_of(file)
    if part == "__init__":
        return  # resolves names lazily; see test_importing_the_package_is_light
    group = group_of(part)
    for module in imports(file):
        library, _, rest = module.partition(".")
        if library != "meta_nni":
            allowed = LIBRARIES.get(group, CORE) | sys.stdlib_module_names
            assert library in allowed, f"{group} may not import {library}"
        elif rest:
            other = group_of(rest.split(".")[0])
            assert other == group or other in MAY_IMPORT[group], f"{group} may not import {other}"


def test_nni_is_imported_by_its_adapters_alone():
    users = {file for file in FILES if any(m.split(".")[0] == "nni" for m in imports(file))}
    assert users
    assert {file.parent for file in users} == {PACKAGE / "adapters"}


@pytest.mark.parametrize(
    "module",
    [
        "meta_nni",
        "meta_nni.search",
        "meta_nni.controllers",
        "meta_nni.policy.neural",
        "meta_nni.store",
        "meta_nni.models",
        "meta_nni.models.cells.canonical",
        "meta_nni.models.cells.drawing",
        "meta_nni.oneshot",
    ],
)
def test_importing_the_package_is_light(module):
    code = f"import sys, {module}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_tuner_and_a_trial_of_nni_load_no_tensorflow():
    code = (
        "import sys; from meta_nni import MetaTuner, run_trial; print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("name", meta_nni.__all__)
def test_every_public_name_exists(name):
    assert getattr(meta_nni, name) is not None
    assert name in dir(meta_nni)


def test_other_names_do_not():
    with pytest.raises(AttributeError, match="no attribute 'Tuner'"):
        importlib.import_module("meta_nni").Tuner  # noqa: B018


def test_the_search_spaces_are_part_of_the_installed_package():
    try:
        importlib.metadata.distribution("meta-nni")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    folder = importlib.resources.files("meta_nni.search_spaces")
    spaces = [file for file in folder.iterdir() if file.name.endswith(".json")]
    assert "cnn_small.json" in {file.name for file in spaces}
    for file in spaces:
        assert meta_nni.SearchSpace.from_nni(json.loads(file.read_text("utf-8"))).parameters
