"""What networks do with steps in an order: the words of a text, the frames of a sequence.

Axes: B batch, L steps, C channels. A mask is true, [B, L], where a step counts; None is
everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import layers, ops

from meta_nni.trial import Config

__all__ = ["encode", "pool"]

_LONGEST_PERIOD = 10_000.0  # of the positions' waves, in steps / 2 pi (Vaswani et al. 2017)
_LOUDNESS = 0.05  # of the waves: new embeddings of Keras are that large, and must be heard
_MASKED = -1e9


def encode(encoder: Config, steps: Any, mask: Any = None) -> Any:
    """Lets steps see their neighbours: [B, L, C] -> [B, L, channels of the encoder].

    Args:
        encoder: A branch of the spaces' `encoder`: "bag" (the steps as they are),
            "convolution", "recurrent", "convolution_recurrent" (one after the other) or
            "transformer", with the branch's own values.
        steps: What is encoded.
        mask: Which steps a transformer may look at.
    """
    name = encoder["_name"]
    if "convolution" in name:
        for _ in range(encoder["layers"]):
            steps = layers.Conv1D(
                encoder["filters"], encoder["kernel_size"], padding="same", activation="relu"
            )(steps)
    if "recurrent" in name:
        kind = {"gru": layers.GRU, "lstm": layers.LSTM}[encoder["cell"]]
        cell = kind(encoder["units"], return_sequences=True)
        steps = (layers.Bidirectional(cell) if encoder["bidirectional"] else cell)(steps)
    if name == "transformer":
        steps = ops.add(steps, _waves(*steps.shape[1:]))
        for _ in range(encoder["layers"]):
            steps = _attend(encoder, steps, mask)
        steps = layers.LayerNormalization()(steps)
    return steps


def _attend(encoder: Config, steps: Any, mask: Any) -> Any:
    """A transformer's layer that normalises first (Xiong et al. 2020, figure 1b)."""
    channels, heads = steps.shape[-1], encoder["heads"]
    normal = layers.LayerNormalization()(steps)
    looks_at = None if mask is None else ops.expand_dims(mask, 1)  # [B, 1, L]
    seen = layers.MultiHeadAttention(heads, channels // heads)(
        normal, normal, attention_mask=looks_at
    )
    steps = layers.Add()([steps, seen])
    inner = layers.Dense(encoder["feed_forward"], "relu")(layers.LayerNormalization()(steps))
    return layers.Add()([steps, layers.Dense(channels)(inner)])


def _waves(length: int, channels: int) -> npt.NDArray[np.float32]:
    """Positions as sines and cosines [1, L, C] (Vaswani et al. 2017, section 3.5)."""
    place = np.arange(channels)
    rates = _LONGEST_PERIOD ** -(place // 2 * 2 / channels)
    angles = np.arange(length)[:, None] * rates
    waves = np.where(place % 2, np.cos(angles), np.sin(angles))
    return (_LOUDNESS * waves)[None].astype(np.float32)


def pool(pooling: str, steps: Any, mask: Any = None, both_ways: bool = False) -> Any:
    """Makes one vector of all steps: [B, L, C] -> [B, C], or [B, 2 C] for "both".

    Args:
        pooling: "average", "max", "both" or "last".
        steps: At least one of them counts in each row.
        mask: Which steps count; "last" takes none.
        both_ways: Whether the second half of the channels was read backward, so that "last" of
            it is the first step.
    """
    if pooling == "both":
        return ops.concatenate([pool("average", steps, mask), pool("max", steps, mask)], axis=1)
    if pooling == "last":
        ahead = steps.shape[-1] // 2 if both_ways else steps.shape[-1]
        return ops.concatenate([steps[:, -1, :ahead], steps[:, 0, ahead:]], axis=1)
    if mask is None:
        return (ops.max if pooling == "max" else ops.mean)(steps, axis=1)
    counts = ops.expand_dims(mask, 2)  # [B, L, 1]
    if pooling == "max":
        return ops.max(ops.where(counts, steps, _MASKED), axis=1)
    total = ops.sum(ops.where(counts, steps, 0.0), axis=1)
    return total / ops.sum(ops.cast(counts, "float32"), axis=1)
