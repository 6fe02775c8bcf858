"""Data as the option `--data` names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meta_nni.cli.arguments import CommandError

__all__ = ["DATA_HELP", "data_name", "data_spec"]

DATA_HELP = (
    "the data: a .npz file, a folder with a folder of pictures per class, or what `data` of a "
    'config is, as JSON, such as \'{"csv": "train.csv", "target": "price"}\''
)


def data_spec(text: str) -> dict[str, Any]:
    """Returns the specification of data that users mean; `load_data` checks it.

    Args:
        text: A file, a folder of pictures, or a specification as JSON.

    Raises:
        CommandError: It begins like JSON and is none, or it is a table without a target.
    """
    if text.lstrip().startswith("{"):
        try:
            spec: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CommandError(f"--data {text!r} is not JSON: {error}") from None
        return spec
    if text.lower().endswith(".csv"):
        example = json.dumps({"csv": text, "target": "column"})
        raise CommandError(f"a table needs the name of its target: --data '{example}'")
    return {"images" if Path(text).expanduser().is_dir() else "npz": text}


def data_name(spec: dict[str, Any]) -> str:
    """Returns the name of the file or folder that a specification reads."""
    from meta_nni.data import check_spec

    return Path(spec[check_spec(spec)]).expanduser().absolute().stem
