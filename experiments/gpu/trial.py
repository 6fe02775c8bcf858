"""One trial on the GPU that NNI gave it: the small CNN of a config on Fashion-MNIST."""

import os
from dataclasses import replace

# JAX would take most of the GPU's memory at once, and trials share it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

evaluate = KerasEvaluator(
    "cnn_small",
    data={"npz": "../fashion_mnist/fashion_mnist.npz"},
    epochs=10,
    batch_size=128,
    max_seconds=120,
)


def num_gpus():
    """Returns how many GPUs Keras's backend sees."""
    if keras.backend.backend() == "jax":
        import jax

        return sum(device.platform == "gpu" for device in jax.devices())
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def measured(config, report):
    """Trains and measures a config, and tells on how many GPUs."""
    result = evaluate(config, report)
    return replace(result, metrics={**result.metrics, "gpus": float(num_gpus())})


run_trial(measured)
