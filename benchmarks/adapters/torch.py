"""PyTorch: noise-contrastive losses of whole arrays, automatic slopes, its L-BFGS, on the CPU.

What is written down once per model is the energy; the loss is that of skebm, with the stable
softplus of the library, in float64.
"""

import numpy as np
import torch
from torch.nn.functional import softplus

from benchmarks.nce_trace import Enough, Evaluations


def version():
    return f"torch {torch.__version__}"


def descend(contrast, n_threads, goal=-np.inf, max_iter=500):
    """The :class:`Evaluations` of a search from rows on, which ends at the loss ``goal``."""
    torch.set_num_threads(n_threads)
    found = Evaluations(goal)
    rows = [torch.from_numpy(each) for each in (contrast.X, contrast.noise)]
    log_noise = [torch.from_numpy(each) for each in contrast.log_noise]
    x = torch.tensor(contrast.start, requires_grad=True)
    search = torch.optim.LBFGS(
        [x], lr=1.0, max_iter=max_iter, max_eval=10 * max_iter, tolerance_grad=1e-9,
        tolerance_change=1e-12, history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure():
        search.zero_grad()
        value = loss(contrast, x, rows, log_noise)
        value.backward()
        found.add(value.item())
        return value

    try:
        search.step(closure)
    except Enough:
        pass
    return found.ended()


def loss(contrast, x, rows, log_noise):
    """The loss of flat parameters, -log Z the last of them."""
    energy, log_ratio = ENERGIES[contrast.model], np.log(contrast.ratio)
    of_data, of_noise = (
        x[-1] - energy(x[:-1], each, contrast) - logs - log_ratio
        for each, logs in zip(rows, log_noise)
    )
    value = softplus(-of_data).mean() + contrast.ratio * softplus(of_noise).mean()
    return value + 0.5 * contrast.l2 * (x[: contrast.n_penalised] ** 2).sum()


def _gaussian(theta, X, contrast):
    p = X.shape[1]
    upper = torch.zeros((p, p), dtype=X.dtype)
    i, j = torch.triu_indices(p, p)
    upper = upper.index_put((i, j), theta[p:])
    K = upper + upper.T - torch.diag(upper.diagonal())
    return 0.5 * ((X @ K) * X).sum(dim=1) - X @ theta[:p]


def _laplace(theta, X, contrast):
    W = theta.reshape(-1, X.shape[1])
    return 2.0**0.5 * (X @ W.T).abs().sum(dim=1)


def _logistic(theta, X, contrast):
    """2 log cosh(pi u / sqrt 12), by softplus."""
    t = torch.pi / 12.0**0.5 * (X @ theta.reshape(-1, X.shape[1]).T)
    return (2.0 * t + 2.0 * softplus(-2.0 * t) - 2.0 * np.log(2.0)).sum(dim=1)


def _rbm(theta, X, contrast):
    m, p = contrast.n_hidden, X.shape[1]
    W, b, a = theta[: m * p].reshape(m, p), theta[m * p : m * p + p], theta[m * p + p :]
    return -X @ b - softplus(X @ W.T + a).sum(dim=1)


ENERGIES = {"gaussian": _gaussian, "laplace": _laplace, "logistic": _logistic, "rbm": _rbm}
