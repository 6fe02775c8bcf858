"""Reading the data of a task, by configuration alone.

`load_data` reads one split of what a specification names. Kinds of sources are the keys of
`LOADERS`, a file each; `Dataset.from_arrays` checks what they find and says what it is.
"""

from meta_nni.data.arrays import Kind, Split, Target
from meta_nni.data.dataset import Dataset
from meta_nni.data.loading import LOADERS, check_spec, load_data
from meta_nni.data.problems import DataError

__all__ = [
    "LOADERS",
    "DataError",
    "Dataset",
    "Kind",
    "Split",
    "Target",
    "check_spec",
    "load_data",
]
