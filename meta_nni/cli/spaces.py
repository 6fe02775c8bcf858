"""Search spaces as users name them: one that ships, or a file."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

from meta_nni.cli.arguments import CommandError, near
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.trial import Config

__all__ = ["named_space", "read_space", "shipped_spaces", "spaces_of"]


@cache
def shipped_spaces() -> dict[str, SearchSpace]:
    """Returns the spaces of `meta_nni.search_spaces` by name, sorted."""
    files = (f for f in resources.files("meta_nni.search_spaces").iterdir())
    texts = {f.name[:-5]: f.read_text("utf-8") for f in files if f.name.endswith(".json")}
    return {name: SearchSpace.from_nni(json.loads(texts[name])) for name in sorted(texts)}


def named_space(name: str) -> SearchSpace:
    """Returns the shipped space of that name, else the one in the file.

    Raises:
        CommandError: It is neither.
    """
    known = shipped_spaces()
    if name in known:
        return known[name]
    if not name.endswith(".json") and not Path(name).exists():
        hint = " or ".join(map(repr, near(name, list(known)))) or f"one of {list(known)}"
        raise CommandError(f"there is no space {name!r}; expected {hint}, or a file of NNI's JSON")
    return read_space(Path(name))


def read_space(path: Path) -> SearchSpace:
    """Reads a space from a file in NNI's format.

    Raises:
        CommandError: It cannot be read, or is no search space.
    """
    try:
        return SearchSpace.from_nni(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise CommandError(f"{path} is not JSON: {error}; expected a search space") from None
    except (SpaceError, UnicodeError, RecursionError) as error:
        raise CommandError(f"{path} is no search space: {error}") from None


def spaces_of(space: SearchSpace, config: Config) -> list[str]:
    """Returns the shipped spaces whose model a config describes, the run's own first.

    A space that was narrowed by hand still is one of them: it is the config that counts.
    """
    known = shipped_spaces()
    same = [name for name, each in known.items() if each.fingerprint == space.fingerprint]
    fitting = [name for name, each in known.items() if name not in same and _holds(each, config)]
    return same + fitting


def _holds(space: SearchSpace, config: Config) -> bool:
    try:
        space.flatten(config)
    except SpaceError:
        return False
    return True
