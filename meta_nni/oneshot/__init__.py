"""Architecture search with shared weights: one supernet is trained instead of every config.

    found = DartsSearch("nasbench201", {"npz": file}, initial=start).run()
    KerasEvaluator("nasbench201", {"npz": file}).test(found.config)

Importing this package loads no TensorFlow; the first search does.
"""

from meta_nni.oneshot.methods import DartsSearch, EnasSearch
from meta_nni.oneshot.search import Found, OneShotSearch
from meta_nni.oneshot.space import CellSpace, start_of

__all__ = ["CellSpace", "DartsSearch", "EnasSearch", "Found", "OneShotSearch", "start_of"]
