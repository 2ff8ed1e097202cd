"""Warnings that point at the user's line, through whatever called whatever."""

import sys
import warnings

_INSIDE = ("skebm", "sklearn", "contextlib", "joblib")


def warn(message, category):
    """Warn at the first caller outside this package and scikit-learn."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
