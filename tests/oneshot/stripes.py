"""A toy task that one operation alone can solve, and searches on a supernet of one cell."""

import keras
import numpy as np
from keras import layers

from meta_nni.oneshot import CellSpace, DartsSearch, EnasSearch
from meta_nni.oneshot.shared import SharedWeights
from meta_nni.oneshot.supernet import classifier, mixed_cell
from meta_nni.space import SearchSpace

CELLS = CellSpace.named("nasbench201")
OPERATIONS = ("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3")
FEW = CellSpace(
    CELLS.name,
    SearchSpace.from_nni(
        {
            name: {**entry, "_value": list(OPERATIONS)}
            for name, entry in CELLS.space.to_nni().items()
        }
    ),
    OPERATIONS,
    CELLS.places,
)
"""Without the 1x1 convolution: half the layers to build."""

WIDTH = 4


def make_stripes(count, rng):
    """Horizontal against vertical stripes, float32 [count, 8, 8], with their codes.

    One class is the other transposed, so whatever looks at single pixels, or averages
    squares of them, sees the same in both: only a 3x3 convolution can tell them apart.
    """
    phases = rng.integers(2, size=(count, 1))
    rows = ((np.arange(8) + phases) % 2)[:, :, None].repeat(8, axis=2)
    x = rows + rng.normal(0, 0.1, (count, 8, 8))
    y = np.arange(count) % 2
    return np.where(y[:, None, None] == 1, x.transpose(0, 2, 1), x).astype(np.float32), y


def make_model(shape, classes=2, sparse=False, cells=CELLS):
    """One cell of NAS-Bench-201 that sees the pixels themselves, and a linear classifier."""
    images = keras.Input(shape)
    gates = keras.Input(batch_shape=(len(cells.places), len(cells.operations)))
    inputs = layers.Concatenate()([images] * WIDTH)
    output = mixed_cell(cells, "normal", [inputs], gates, WIDTH, sparse)[-1]
    features = layers.GlobalAveragePooling2D()(layers.ReLU()(output))
    return classifier(images, gates, features, classes)


class _Small:
    cell_space = FEW

    def _shared(self, cells, problem, sparse):
        keras.utils.set_random_seed(self.seed)
        model = make_model((8, 8, 1), problem.num_outputs, sparse, cells)
        return SharedWeights(model, problem, self.batch_size, self.seed)


class SmallDarts(_Small, DartsSearch):
    pass


class SmallEnas(_Small, EnasSearch):
    pass
