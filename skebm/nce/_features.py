"""Any exponential family, by its features: log p(x) = theta.phi(x) - log Z."""

import numpy as np

from skebm.criteria.noise_contrastive import Features
from skebm.nce._family import Family, indexed
from skebm.nce._given import as_numbers, name_of, shown

# Difference, in units of the largest feature, beyond which features of a row depend on others.
_MIXED = 1e-5


class FeaturesRule:
    """A rule: a function."""

    @staticmethod
    def check(name, value):
        if not callable(value):
            raise TypeError(f"{name} must be a function of rows X, got {value!r}.")


class ExponentialFamily(Family):
    """Exponential family E(x) = -theta.phi(x), given by its features phi.

    Parameters
    ----------
    features : callable
        ``features(X)`` returns phi, (n_samples, n_params), for rows (n_samples, n_features).
        A constant must not be among them: c = -log Z stands for it.

    Notes
    -----
    The loss is convex, and minimised by Newton's method. Features of all rows, data and noise,
    are kept in memory while learning.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import NCEEstimator
    >>> from skebm.nce import ExponentialFamily
    >>> def powers(X):
    ...     return np.hstack([X, X**2, X**4])
    >>> X = np.random.default_rng(0).normal(size=(20000, 1))
    >>> model = NCEEstimator(ExponentialFamily(powers), random_state=0).fit(X)
    >>> model.params_.round(1) + 0.0
    array([ 0. , -0.5,  0. ])
    >>> round(model.log_partition_.value, 1)  # log(2 pi) / 2 = 0.92
    0.9
    """

    kind = None
    _rules = {"features": FeaturesRule()}  # noqa: RUF012

    def __init__(self, features):
        self.features = features

    def bound(self, X):
        """A copy that knows how many features there are."""
        phi, alone = self._called(X[:2]), self._called(X[:1])
        if (
            alone.shape[1] != phi.shape[1]
            or np.abs(alone - phi[:1]).max() > _MIXED * abs(phi).max()
        ):
            raise ValueError(
                f"features {name_of(self.features)!r} must give each row features of its own: row "
                f"0 has {shown(phi[0])} before another row, and {shown(alone[0])} by itself."
            )
        known = ExponentialFamily(self.features)
        known._n_params = phi.shape[1]
        return known

    def form(self, p):
        """The features."""
        return Features(self._n_params)

    def names(self, p):
        """theta[i]."""
        return indexed("theta", np.arange(self._n_params))

    def rows(self, X):
        """phi of rows."""
        return self._called(X)

    def start(self, Z, weights, entropy):
        """A flat density."""
        return np.zeros(Z.shape[1]), None

    def _called(self, X):
        name, given = f"features {name_of(self.features)!r}", X.copy()
        try:
            phi = self.features(given)
        except Exception as error:
            raise RuntimeError(f"{name} raised {type(error).__name__}: {error}") from error
        phi = as_numbers(name, phi, precise=False)
        if phi.ndim != 2 or len(phi) != len(X) or not phi.shape[1]:
            raise ValueError(
                f"{name} must return shape ({len(X)}, n_params) for {len(X)} rows, got {phi.shape}."
            )
        if not np.array_equal(given, X):
            row = int(np.argmax((given != X).any(axis=1)))
            raise ValueError(f"{name} must not change its input: it changed row {row}.")
        if not np.isfinite(phi).all():
            row = int(np.argwhere(~np.isfinite(phi))[0, 0])
            raise ValueError(f"{name} must be finite, they are {phi[row]} in row {row}.")
        return phi
