"""Images as networks take them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["to_pixels"]


def to_pixels(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Images of uint8 or float [N, H, W] or [N, H, W, C] as float32 [N, H, W, C].

    Bytes become numbers from 0 to 1; other numbers stay as they are.
    """
    scale = np.float32(1 / 255 if x.dtype == np.uint8 else 1)
    return (x if x.ndim == 4 else x[..., None]).astype(np.float32) * scale
