"""Independent components and other products of experts: E(x) = sum_i f(w_i.x + b_i)."""

import numbers
import warnings

import numpy as np
from scipy import linalg
from scipy.special import gammaln

from skebm._jit import single_threaded_blas
from skebm._rng import derive_seed, host_generator
from skebm._validation import Choice, Flag, Number, positive_integer
from skebm.criteria.noise_contrastive import LAPLACE, LOGISTIC, STUDENT, Experts
from skebm.nce._family import Family, Report, Units, indexed
from skebm.nce._sums import weighted_sum

_START, _DRAWS = 122, 123  # purposes of random numbers

_KINDS = {"laplace": LAPLACE, "logistic": LOGISTIC, "student_t": STUDENT}

# Rows that the start is found from.
_ROWS = 10000


class ICA(Family):
    """Product of experts E(x) = sum_i f(w_i.x + b_i), with p of them independent components.

    Parameters
    ----------
    expert : {"laplace", "logistic", "student_t"}, default="laplace"
        The energy f: sqrt(2) abs(u) of a Laplace variable of variance 1; 2 log cosh(pi u /
        sqrt(12)) of a logistic one of variance 1; (df + 1) / 2 log(1 + u^2 / df) of Student's t.
    n_components : int or None, default=None
        Number of experts, at least that of columns, which is what None means.
    df : float, default=5.0
        Degrees of freedom of Student's t.
    fit_intercept : bool, default=True
        Whether there are b_i, else 0.

    Notes
    -----
    Parameters are the rows w_i of the unmixing matrix one after the other, then b. Their order
    and signs mean nothing. The loss is not convex; the start is found by scikit-learn's FastICA
    (further experts point into random directions). The loss of Laplace experts has corners, on one
    of which searches would end, depending on where they began. So it is minimised with abs(u)
    rounded to sqrt(u^2 + w^2), of widths w that fall to 1 / n_samples, much less than what rows
    know of u; ``tol`` is of slopes then.

    References
    ----------
    M. U. Gutmann, A. Hyvärinen (2012). Noise-contrastive estimation of unnormalized statistical
    models, with applications to natural image statistics. JMLR 13.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm import NCEEstimator
    >>> from skebm.nce import ICA
    >>> sources = np.random.default_rng(0).laplace(size=(4000, 2)) / np.sqrt(2.0)
    >>> X = sources @ np.array([[1.0, 0.5], [0.0, 1.0]])
    >>> model = NCEEstimator(ICA(fit_intercept=False), random_state=0).fit(X)
    >>> W = np.abs(model.params_.reshape(2, 2))
    >>> W[np.argsort(W[:, 0])].round(1)
    array([[0.5, 1. ],
           [1. , 0. ]])
    """

    standardizes = True
    _rules = {  # noqa: RUF012
        "expert": Choice(tuple(_KINDS)),
        "n_components": positive_integer(None),
        "df": Number(numbers.Real, 0, above=True),
        "fit_intercept": Flag(),
    }

    def __init__(self, expert="laplace", *, n_components=None, df=5.0, fit_intercept=True):
        self.expert = expert
        self.n_components = n_components
        self.df = df
        self.fit_intercept = fit_intercept

    def _n_experts(self, p):
        if self.n_components is None:
            return p
        if self.n_components < p:
            raise ValueError(
                f"energy: n_components must be at least the number of columns, {p}, or None, got "
                f"{self.n_components}: with fewer experts there is no density."
            )
        return self.n_components

    def form(self, p):
        """The experts."""
        return Experts(
            self._n_experts(p), p, _KINDS[self.expert], bool(self.fit_intercept), self.df
        )

    def names(self, p):
        """components[i,j], intercept[i]."""
        m = self._n_experts(p)
        names = indexed("components", *np.indices((m, p)))
        return names + indexed("intercept", np.arange(m)) * bool(self.fit_intercept)

    def penalised(self, p):
        """The unmixing matrix."""
        m = self._n_experts(p)
        return np.arange(m * (p + bool(self.fit_intercept))) < m * p

    def units(self, mean, scale, fixed, params):
        """Around the mean where an intercept takes that up."""
        p = len(mean)
        moves = self.fit_intercept and not fixed[self._n_experts(p) * p :].any()
        return Units(mean if moves else np.zeros(p), scale)

    def start(self, Z, weights, entropy):
        """FastICA of some rows; further experts at random."""
        from sklearn.decomposition import FastICA  # takes long to import

        n, p = Z.shape
        m, generator = self._n_experts(p), host_generator(entropy, _START)
        edges = np.cumsum(weights) / weights.sum()
        count = min(n, _ROWS)
        rows = Z[np.minimum(np.searchsorted(edges, (np.arange(count) + 0.5) / count), n - 1)]
        seed = derive_seed(entropy, _START) % 2**32
        with warnings.catch_warnings(), single_threaded_blas:
            warnings.simplefilter("ignore")
            try:
                search = FastICA(whiten="unit-variance", max_iter=100, tol=1e-3, random_state=seed)
                W = search.fit(rows).components_
            except (ValueError, linalg.LinAlgError):
                W = np.zeros((0, p))
        if W.shape != (p, p) or not np.isfinite(W).all():
            W = np.eye(p)
        more = generator.standard_normal((m - p, p)) / np.sqrt(p)
        W = np.vstack([W, more])
        if not self.fit_intercept:
            return W.ravel(), None
        return np.append(W.ravel(), -weighted_sum(rows.mean(axis=0), W.T)), None

    def internal(self, params, units):
        """Of columns z: w scale, and b + w.shift."""
        p = len(units.shift)
        m = self._n_experts(p)
        W = params[: m * p].reshape(m, p)
        parts = [(W * units.scale).ravel()]
        if self.fit_intercept:
            parts.append(params[m * p :] + (W * units.shift).sum(axis=1))
        return np.concatenate(parts)

    def report(self, theta, c, units):
        """w / scale, and b - w.shift."""
        p = len(units.shift)
        m = self._n_experts(p)
        W = theta[: m * p].reshape(m, p) / units.scale
        J = np.diag(np.append(np.ones(len(theta)), -1.0))
        places = np.arange(m * p)
        J[places, places] = np.tile(1.0 / units.scale, m)
        parts = [W.ravel()]
        if self.fit_intercept:
            parts.append(theta[m * p :] - (W * units.shift).sum(axis=1))
            J[m * p + places // p, places] = np.tile(-units.shift / units.scale, m)
        return Report(np.concatenate(parts), -c, lambda: J)

    def log_partition(self, params, p):
        """m log Z_f - log |det W|, where there are as many experts as columns."""
        m = self._n_experts(p)
        if m != p:
            return None
        sign, log_det = np.linalg.slogdet(params[: m * p].reshape(m, p))
        return m * self._log_constant() - float(log_det) if sign else None

    def _log_constant(self):
        """log of the integral of e^-f."""
        if self.expert == "laplace":
            return 0.5 * np.log(2.0)
        if self.expert == "logistic":
            return np.log(4.0 * np.sqrt(3.0) / np.pi)
        half = 0.5 * self.df
        return float(0.5 * np.log(self.df * np.pi) + gammaln(half) - gammaln(half + 0.5))

    def draws(self, params, p):
        """Independent sources mixed again, where there are as many as columns."""
        m = self._n_experts(p)
        W = params[: m * p].reshape(m, p)
        if m != p or np.linalg.matrix_rank(W) < p:
            return None
        shift = params[m * p :] if self.fit_intercept else np.zeros(m)

        def draw(n_samples, entropy):
            sources = self._sources(host_generator(entropy, _DRAWS), (n_samples, m)) - shift
            with single_threaded_blas:
                return linalg.solve(W, sources.T).T.copy()

        return draw

    def _sources(self, generator, shape):
        if self.expert == "laplace":
            return generator.laplace(scale=np.sqrt(0.5), size=shape)
        if self.expert == "logistic":
            return generator.logistic(scale=np.sqrt(3.0) / np.pi, size=shape)
        return generator.standard_t(self.df, size=shape)
