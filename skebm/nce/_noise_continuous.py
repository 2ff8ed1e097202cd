"""Noises over the reals: Gaussian, Student's t, and a mixture of Gaussians."""

import numbers
import warnings

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

from skebm._jit import single_threaded_blas
from skebm._rng import host_generator
from skebm._validation import Number, RandomState, positive_integer
from skebm.nce._noise import Noise, correlations, moments

_LABELS = 137  # purpose of random numbers

_LOG_2_PI = np.log(2.0 * np.pi)

INFLATION = Number(numbers.Real, 0, above=True)

# Added to the variances of a mixture's components, as a share of those of the columns.
_FLOOR = 1e-3

# Starts of a mixture; rows that fractional weights are turned into, at least.
_STARTS, _ROWS = 3, 1000


class _Elliptic(Noise):
    """Noises whose density falls with the Mahalanobis distance from the mean."""

    def _fit(self, X, weights):
        self.mean_, spread = moments(type(self).__name__, X, weights)
        self._spread = self.inflation * spread
        C = correlations(X, weights, self.mean_, spread)
        self.covariance_ = C * np.outer(self._spread, self._spread)
        with single_threaded_blas:
            self._factor = np.linalg.cholesky(C)

    def _standard(self, X):
        """L^-1 (x - mean), (p, n), with covariance LL'."""
        with single_threaded_blas:
            return solve_triangular(
                self._factor, ((X - self.mean_) / self._spread).T, lower=True, overwrite_b=True
            )

    def _log_volume(self):
        return np.log(self._factor.diagonal()).sum() + np.log(self._spread).sum()

    def _spread_out(self, z):
        """mean + L z of rows z (n, p)."""
        with single_threaded_blas:
            return self.mean_ + (z @ self._factor.T) * self._spread


class GaussianNoise(_Elliptic):
    """Gaussian noise with the mean and the covariance of the data, made somewhat wider.

    Parameters
    ----------
    inflation : float, default=1.3
        Factor on the standard deviations, positive. Noise that is as wide as the data has the
        least error for log Z, noise that is a bit wider for scales, and it covers the tails.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean.
    covariance_ : ndarray of shape (n_features, n_features)
        Covariance of the noise, ``inflation`` squared times that of the data. Where columns are
        collinear their correlations are shrunk by a tenth.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    M. U. Gutmann, A. Hyvärinen (2012). Noise-contrastive estimation of unnormalized statistical
    models, with applications to natural image statistics. JMLR 13, section 3.

    Examples
    --------
    >>> from skebm.nce import GaussianNoise
    >>> noise = GaussianNoise(inflation=1.0).fit([[-1.0], [1.0]])
    >>> noise.log_prob([[0.0]]).round(6)  # -log(2 pi) / 2
    array([-0.918939])
    >>> noise.sample(5, random_state=0).shape
    (5, 1)
    """

    _rules = {"inflation": INFLATION}  # noqa: RUF012

    def __init__(self, inflation=1.3):
        self.inflation = inflation

    def _sample(self, n_samples, entropy):
        shape = n_samples, self.n_features_in_
        return self._spread_out(self._generator(entropy).standard_normal(shape))

    def _log_prob(self, X):
        squares = (self._standard(X) ** 2).sum(axis=0)
        return -0.5 * (squares + X.shape[1] * _LOG_2_PI) - self._log_volume()


class StudentTNoise(_Elliptic):
    """Student's t around the mean of the data, with a multiple of their covariance.

    Its tails are heavier than those of any Gaussian model, so that rows far out are covered too.

    Parameters
    ----------
    df : float, default=5.0
        Degrees of freedom, more than 2.
    inflation : float, default=1.3
        Factor on the standard deviations, positive.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean.
    covariance_ : ndarray of shape (n_features, n_features)
        Covariance of the noise, ``inflation`` squared times that of the data.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    S. Kotz, S. Nadarajah (2004). Multivariate t distributions and their applications. Cambridge,
    equation 1.1.

    Examples
    --------
    >>> from skebm.nce import GaussianNoise, StudentTNoise
    >>> X = [[-1.0], [1.0]]
    >>> tails = [noise.fit(X).log_prob([[9.0]]) for noise in (GaussianNoise(), StudentTNoise())]
    >>> bool(tails[0] < tails[1] - 10)
    True
    """

    _rules = {"df": Number(numbers.Real, 2, above=True), "inflation": INFLATION}  # noqa: RUF012

    def __init__(self, df=5.0, *, inflation=1.3):
        self.df = df
        self.inflation = inflation

    def _shrink(self):
        """Scale over standard deviation."""
        return np.sqrt((self.df - 2.0) / self.df)

    def _sample(self, n_samples, entropy):
        generator = self._generator(entropy)
        z = generator.standard_normal((n_samples, self.n_features_in_))
        length = self._shrink() / np.sqrt(generator.chisquare(self.df, n_samples) / self.df)
        return self._spread_out(z * length[:, None])

    def _log_prob(self, X):
        p, df = X.shape[1], self.df
        squares = (self._standard(X) ** 2).sum(axis=0) / self._shrink() ** 2
        constant = gammaln((df + p) / 2.0) - gammaln(df / 2.0) - 0.5 * p * np.log(df * np.pi)
        constant -= self._log_volume() + p * np.log(self._shrink())
        return constant - 0.5 * (df + p) * np.log1p(squares / df)


class MixtureNoise(Noise):
    """A mixture of Gaussians, fitted to the data by scikit-learn and made somewhat wider.

    The noise for data in clusters, between which a single Gaussian has most of its mass.

    Parameters
    ----------
    n_components : int, default=5
        Number of Gaussians; no more than there are rows.
    inflation : float, default=1.3
        Factor on the standard deviations of each component, positive.
    random_state : None, int or RandomState, default=0
        Seed of the starts.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Shares of the components.
    means_ : ndarray of shape (n_components, n_features)
        Their means.
    covariances_ : ndarray of shape (n_components, n_features, n_features)
        Their covariances, inflated.
    n_features_in_ : int
        Number of columns.

    Notes
    -----
    scikit-learn's :class:`~sklearn.mixture.GaussianMixture` knows no weights: whole ones become
    repetitions of their rows, others are rounded to those of a systematic sample.

    References
    ----------
    G. J. McLachlan, D. Peel (2000). Finite mixture models. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> from skebm.nce import MixtureNoise
    >>> X = np.concatenate([np.arange(20.0) - 100.0, np.arange(20.0) + 100.0])[:, None]
    >>> noise = MixtureNoise(2).fit(X)
    >>> np.sort(noise.means_.ravel()).round(1)
    array([-90.5, 109.5])
    """

    _rules = {  # noqa: RUF012
        "n_components": positive_integer(),
        "inflation": INFLATION,
        "random_state": RandomState(),
    }

    def __init__(self, n_components=5, *, inflation=1.3, random_state=0):
        self.n_components = n_components
        self.inflation = inflation
        self.random_state = random_state

    def _fit(self, X, weights):
        from sklearn.mixture import GaussianMixture  # takes long to import

        mean, spread = moments(type(self).__name__, X, weights)
        rows = _repeated((X - mean) / spread, weights)
        # Starts without k-means, whose sums depend on the number of threads.
        mixture = GaussianMixture(
            min(self.n_components, len(rows)), reg_covar=_FLOOR, n_init=_STARTS,
            init_params="k-means++", random_state=self.random_state,
        )  # fmt: skip
        with warnings.catch_warnings(), single_threaded_blas:
            warnings.simplefilter("ignore")  # noise need not be at an optimum
            mixture.fit(rows)
            covariances = self.inflation**2 * mixture.covariances_
            self._factors = np.linalg.cholesky(covariances)
        self._shift, self._spread, self._centres = mean, spread, mixture.means_
        self.weights_ = mixture.weights_ / mixture.weights_.sum()
        self.means_ = mean + spread * mixture.means_
        self.covariances_ = covariances * np.outer(spread, spread)

    def _sample(self, n_samples, entropy):
        labels = host_generator(entropy, _LABELS).choice(
            len(self.weights_), n_samples, p=self.weights_
        )
        z = self._generator(entropy).standard_normal((n_samples, self.n_features_in_))
        for k, (factor, centre) in enumerate(zip(self._factors, self._centres)):
            with single_threaded_blas:
                z[labels == k] = centre + z[labels == k] @ factor.T
        return self._shift + self._spread * z

    def _log_prob(self, X):
        Z, p = (X - self._shift) / self._spread, X.shape[1]
        terms = np.empty((len(self.weights_), len(X)))
        for k, (factor, centre) in enumerate(zip(self._factors, self._centres)):
            with single_threaded_blas:
                y = solve_triangular(factor, (Z - centre).T, lower=True, overwrite_b=True)
            terms[k] = -0.5 * (y**2).sum(axis=0) - np.log(factor.diagonal()).sum()
        with np.errstate(divide="ignore"):
            terms += np.log(self.weights_)[:, None]
        return logsumexp(terms, axis=0) - 0.5 * p * _LOG_2_PI - np.log(self._spread).sum()


def _repeated(X, weights):
    """Rows as often as their weights say."""
    total = weights.sum()
    if (weights == np.rint(weights)).all() and total <= 20 * max(len(X), _ROWS):
        return np.repeat(X, weights.astype(np.int64), axis=0)
    n = max(len(X), _ROWS)
    edges = np.cumsum(weights) / total
    return X[np.minimum(np.searchsorted(edges, (np.arange(n) + 0.5) / n), len(X) - 1)]
