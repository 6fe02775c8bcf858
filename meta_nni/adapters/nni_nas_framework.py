"""Lets `nni.nas` be imported without torch; to be imported before it.

NNI 3.0 decides by `NNI_FRAMEWORK`, when `nni` itself is imported, whose modules `nni.nas`
loads, and takes torch for granted. Trials inherit the variable. Where torch is installed, or
the user has set the variable, nothing is changed.
"""

from __future__ import annotations

import importlib.util
import os

from nni.common.framework import set_default_framework

__all__ = ["HAS_TORCH"]

HAS_TORCH = importlib.util.find_spec("torch") is not None
"""Whether NNI's own way of doing things can work."""

if not HAS_TORCH:
    set_default_framework(os.environ.setdefault("NNI_FRAMEWORK", "none"))
