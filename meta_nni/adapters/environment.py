"""Where a run takes place, to be recorded with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import meta_nni

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """Returns this machine and this package. Trials are taken to run here."""
    device = "gpu" if Path("/dev/nvidia0").exists() else "cpu"
    return {"device": device, "cores": os.cpu_count(), "package": meta_nni.__version__}
