"""Criteria: what is optimised when log Z is out of reach."""

from skebm.criteria._contrastive_kernel import FROM_DATA, PERSISTENT, RANDOM
from skebm.criteria._sgd import SCHEDULES, Penalty, learning_rates
from skebm.criteria.contrastive import DIVERGED, Contrastive, LearningState
from skebm.criteria.exact import Exact, check_reach
from skebm.criteria.flips import PSEUDOLIKELIHOOD, RATIO, Flips

__all__ = [
    "DIVERGED",
    "FROM_DATA",
    "PERSISTENT",
    "PSEUDOLIKELIHOOD",
    "RANDOM",
    "RATIO",
    "SCHEDULES",
    "Contrastive",
    "Exact",
    "Flips",
    "LearningState",
    "Penalty",
    "check_reach",
    "learning_rates",
]
