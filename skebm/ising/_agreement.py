"""Means and correlations of a model beside those of data."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from skebm._jit import single_threaded_blas

_BLOCK = 4_000_000


@dataclass(frozen=True)
class MomentCheck:
    """How far means and connected correlations of a model are from those of data.

    Connected correlations are E[s_i s_j] - E[s_i] E[s_j], for spins -1 and 1.

    Attributes
    ----------
    z_mean : ndarray of shape (n_features,)
        Data minus model in standard errors of that difference.
    z_correlation : ndarray of shape (n_features, n_features)
        The same of connected correlations, zero on the diagonal.
    worst : tuple of two int
        The pair with the largest ``|z_correlation|``; None of a single spin.
    p_value : float
        Of the largest of all n_features (n_features + 1) / 2 deviations, by Bonferroni: a right
        model has less than x with probability at most x.
    pearson : float
        Correlation over pairs between the connected correlations of data and model. 1 is best,
        practitioners ask for 0.95; noise in the data makes it smaller. NaN if all are equal.
    mean_data, mean_model : ndarray of shape (n_features,)
        E[s_i].
    correlation_data, correlation_model : ndarray of shape (n_features, n_features)
        Connected correlations, on the diagonal variances.
    n_samples : int
        Draws that the moments of the model were estimated from, 0 if they are exact.
    """

    z_mean: np.ndarray
    z_correlation: np.ndarray
    worst: tuple | None
    p_value: float
    pearson: float
    mean_data: np.ndarray
    mean_model: np.ndarray
    correlation_data: np.ndarray
    correlation_model: np.ndarray
    n_samples: int


def moments_of_rows(spins, weights):
    """Weight, mean and connected correlation of each pair, (p, p), (p,), (p, p), from its known
    rows; ``spins`` (n, p) of -1 and 1, and 0 for the unknown.
    """
    p = spins.shape[1]
    mass, sums, products = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p))
    step = max(1, _BLOCK // max(p, 1))
    with single_threaded_blas, np.errstate(invalid="ignore", divide="ignore"):
        for low in range(0, len(spins), step):
            S, w = spins[low : low + step].astype(np.float64), weights[low : low + step, None]
            known = (S != 0).astype(np.float64)
            mass += (w * known).T @ known
            sums += (w * S).T @ known
            products += (w * S).T @ S
        means = sums / mass
        return mass, np.diagonal(means).copy(), products / mass - means * means.T


def exact_moments(energy):
    """Mean and connected correlation under a model by enumeration, (p,) and (p, p)."""
    found = energy.name_moments(energy.exact_moments().gradient)
    return found["spins"], found["products"] - np.outer(found["spins"], found["spins"])


def compared(data, model, n_samples):
    """The :class:`MomentCheck` of ``data``, as :func:`moments_of_rows` gives it.

    ``model`` holds means and connected correlations, from so many draws, or exact ones if 0.
    """
    mass, means, correlations = data
    m, C = model
    with np.errstate(divide="ignore"):
        per_row = 1.0 / mass + (1.0 / n_samples if n_samples else 0.0)
    spread = (1.0 - means**2 + 1.0 - m**2) / 2.0
    z_mean = _deviations(means - m, spread * np.diagonal(per_row))
    spread = (spread_of_products(means, correlations) + spread_of_products(m, C)) / 2.0
    z = _deviations(correlations - C, spread * per_row)
    np.fill_diagonal(z, 0.0)
    pairs = np.triu_indices(len(m), 1)
    sizes = np.abs(np.concatenate([z_mean, z[pairs]]))
    sizes = sizes[~np.isnan(sizes)]
    return MomentCheck(
        z_mean=z_mean,
        z_correlation=z,
        worst=_largest(z, pairs),
        p_value=float(min(1.0, 2.0 * len(sizes) * norm.sf(sizes.max(initial=0.0)))),
        pearson=_pearson(correlations[pairs], C[pairs]),
        mean_data=means,
        mean_model=m,
        correlation_data=correlations,
        correlation_model=C,
        n_samples=n_samples,
    )


def spread_of_products(m, C):
    """Variance of (s_i - m_i)(s_j - m_j) for spins of means ``m`` and covariances ``C``, (p, p).

    (s - m)^2 = 1 + m^2 - 2 m s, so that no fourth moments are needed.
    """
    alone = 1.0 - m**2
    return np.maximum(np.outer(alone, alone) + 4.0 * np.outer(m, m) * C - C**2, 0.0)


def _deviations(difference, variance):
    """Differences in standard errors; 0 where both are 0, NaN where nothing is known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = difference / np.sqrt(variance)
    return np.where(difference == 0, 0.0, z)


def _largest(z, pairs):
    sizes = np.abs(z[pairs])
    if not len(sizes) or np.isnan(sizes).all():
        return None
    place = np.nanargmax(sizes)
    return int(pairs[0][place]), int(pairs[1][place])


def _pearson(data, model):
    known = np.isfinite(data) & np.isfinite(model)
    data, model = data[known], model[known]
    if len(data) < 2 or np.ptp(data) == 0 or np.ptp(model) == 0:
        return float("nan")
    return float(np.corrcoef(data, model)[0, 1])
