"""What the RBMs share that learn from flips of single units."""

import numpy as np

from skebm.criteria import Flips
from skebm.rbm._model import BaseRBM


class FlipRBM(BaseRBM):
    """An RBM that learns from the ratios p(v) / p(v with one unit flipped), without chains."""

    _kind = None

    def _criterion(self):
        return Flips(self._kind, bool(self.center), self._penalty())

    def _check_rows(self, rows):
        if rows.is_binary:
            return
        for _, block in rows.blocks(np.float64):
            found = np.argwhere((block != 0) & (block != 1))
            if len(found):
                row, column = found[0]
                names = getattr(self, "feature_names_in_", None)
                name = "" if names is None else f" ({names[column]!r})"
                raise ValueError(
                    f"{type(self).__name__}: X must hold only 0 and 1 with binarize=None, found "
                    f"{block[row, column]:g} in column {column}{name}: a value between them has no "
                    "opposite. Set binarize to a threshold."
                )
