"""What every estimator shares: an energy, and a likelihood that knows its own log Z."""

import hashlib
from abc import ABC, abstractmethod
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from skebm._jit import threads
from skebm._rng import draw_entropy
from skebm._validation import check_parameters
from skebm.partition import LogLikelihood, estimated
from skebm.partition._asked import LOG_PARTITION_RULES
from skebm.partition.contrast import is_noise, noise_as_base

BASES = ("marginals", "uniform", "biases")
_KEPT = 41  # purpose of the random numbers behind ``log_partition_``


def wrong_base(base, accepted):
    """The error about a ``base`` that is not what is accepted."""
    said = (
        f"log_partition: base must be {accepted}, or with method='nce' a fitted noise of skebm.nce"
    )
    if isinstance(base, str):
        return ValueError(f"{said}, got {base!r}.")
    return TypeError(f"{said}, got {type(base).__name__}.")


def check_base_of_reals(base):
    """Raise if ``base`` is no name of one of a model of real data."""
    if not (isinstance(base, str) and base in ("marginals", "biases")):
        raise wrong_base(base, "'marginals' or 'biases' of a model of real data")


@contextmanager
def all_or_nothing(estimator):
    """Leave an estimator as it was if what is done to it does not come to its end."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class UnnormalizedModel(DensityMixin, BaseEstimator, ABC):
    """Base of all estimators: p(x) = e^{-E(x)} / Z with Z computed after training."""

    @abstractmethod
    def _parameters(self):
        """The fitted arrays that determine the model, as a tuple."""

    @abstractmethod
    def _energy(self):
        """The fitted energy."""

    @abstractmethod
    def _marginals(self):
        """Means of the training data, or None if the model was not fitted here."""

    @abstractmethod
    def _rows(self, X):
        """Checked :class:`Rows` of new data."""

    def score_samples(self, X):
        """Log-likelihood of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            log p(x) in nats, normalised with :attr:`log_partition_`. If that is an AIS estimate
            its error is shared by all rows, and the likelihoods are too large on average.
            For mean-field values (``binarize=None``) it is the same formula, not a likelihood.
        """
        check_is_fitted(self)
        return -self._energies(X) - self._normaliser().value

    def _normaliser(self):
        """The :class:`~skebm.partition.LogPartition` that likelihoods are normalised with."""
        return self.log_partition_

    def score(self, X, y=None):
        """Mean log-likelihood per row in nats, the value that a search maximises.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training.
        y : None
            Ignored.

        Returns
        -------
        float
        """
        return float(np.mean(self.score_samples(X)))

    def log_likelihood(self, X, *, level=0.95):
        """Mean log-likelihood with its uncertainty: of the rows and of log Z, apart.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, coded as in training.
        level : float, default=0.95
            Level of the interval, between 0 and 1.

        Returns
        -------
        LogLikelihood
            ``value`` is :meth:`score`; ``stderr_rows`` shrinks with more rows,
            ``stderr_log_partition`` does not. For mean-field values (``binarize=None``) it is
            the same formula, not a likelihood.
        """
        check_is_fitted(self)
        check_parameters(
            {"level": LOG_PARTITION_RULES["level"]}, {"level": level}, "log_likelihood"
        )
        return LogLikelihood.of_rows(-self._energies(X), self._normaliser(), level)

    def __dir__(self):
        # Notebooks list the fitted attributes of what they display; that must not compute log Z.
        known = vars(self).get("_kept_log_partition") is not None
        names = [name for name in object.__dir__(self) if known or name != "log_partition_"]
        return [name for name in names if hasattr(self, name)]

    @property
    def log_partition_(self):
        """The :class:`~skebm.partition.LogPartition` that likelihoods are normalised with.

        Exact where that takes a moment, AIS otherwise; computed at first use with a seed fixed
        by ``fit``, then kept until the parameters change.
        """
        check_is_fitted(self)
        fingerprint = self._fingerprint()
        kept = vars(self).get("_kept_log_partition")
        if kept is None or kept[0] != fingerprint:
            result = self._compute_log_partition("auto", "marginals", (*self._entropy, _KEPT))
            kept = self._kept_log_partition = (fingerprint, result)
        return kept[1]

    def log_partition(
        self,
        method="auto",
        *,
        n_chains=None,
        n_temperatures="auto",
        base="marginals",
        check="none",
        target_stderr=None,
        level=0.95,
        random_state=None,
        n_jobs=None,
        return_chains=False,
    ):
        """Compute log Z afresh.

        Parameters
        ----------
        method : {"auto", "exact", "ais", "bridge", "nce"}, default="auto"
            Exact enumeration; annealed importance sampling; that in both directions, put together
            by Bennett's acceptance ratio; draws of the model told from draws of the base, without
            annealing in between; or exact where it takes seconds, else AIS. The help of
            :mod:`skebm.partition` says when to use which.
        n_chains : int or None, default=None
            Number of AIS chains, with ``"nce"`` of draws of the model; None plans it for
            ``target_stderr``, at least 128 and, times temperatures, at most 20 million.
        n_temperatures : int or "auto", default="auto"
            Number of temperatures; ``"auto"`` plans it by pilot runs, 100 to 20,000.
        base : {"marginals", "uniform", "biases"}, array-like (n_features,) or noise, \
                default="marginals"
            Independent units that AIS starts from: the training data's means (the model's own
            biases after ``from_parameters``), fair coins, the model's biases (visible ones of an
            RBM, fields of spins), or probabilities of a one, strictly between 0 and 1. Models of
            real data take the first and the third. With ``method="nce"`` also a fitted noise of
            :mod:`skebm.nce`, or another object with ``sample(n_samples, random_state)`` and
            ``log_prob(X)``, near the model; binary ones are of 0 and 1.
        check : {"none", "reverse"}, default="none"
            ``"reverse"`` also carries chains of at least 1,000 sweeps from the model back to the
            base, and does not believe an estimate that they contradict. It needs 64 chains;
            not with ``"nce"``.
        target_stderr : float or None, default=None
            Standard error in nats that ``n_chains`` is planned for; None means 0.05.
        level : float, default=0.95
            Level of the interval, between 0 and 1.
        random_state : None, int, RandomState or Generator, default=None
            Seed; None differs at every call.
        n_jobs : int or None, default=None
            Threads; None means those of the estimator. Inside ``joblib.parallel_config`` with a
            backend of several workers, long runs are spread over these in fixed parts. The bits
            are the same in any case.
        return_chains : bool, default=False
            Whether to return the chains of AIS too.

        Returns
        -------
        LogPartition
            Or, with ``return_chains``, a pair of it and a Bunch of ``states`` (n_chains,
            n_features), in the codes of the model's energy (0 and 1 of an RBM, -1 and 1 of
            spins), and their ``log_weights`` (n_chains,): weighted draws from the model. The
            Bunch is None if the result is exact.

        Raises
        ------
        ValueError
            If ``method="exact"`` would take more than an hour; the message says how long. If
            ``check="reverse"`` is asked of ``method="nce"``.

        Warns
        -----
        ConvergenceWarning
            If the run itself shows that its interval cannot be trusted; the message says why,
            and ``doubts`` of the result too.
        """
        check_is_fitted(self)
        options = {
            "n_chains": n_chains,
            "n_temperatures": n_temperatures,
            "check": check,
            "target_stderr": target_stderr,
            "level": level,
            "return_chains": return_chains,
        }
        values = {"method": method, "random_state": random_state, "n_jobs": n_jobs, **options}
        check_parameters(LOG_PARTITION_RULES, values, "log_partition")
        entropy = draw_entropy(random_state)
        return self._compute_log_partition(method, base, entropy, n_jobs=n_jobs, **options)

    def _compute_log_partition(self, method, base, entropy, *, n_jobs=None, **options):
        energy = self._energy()
        with threads(self.n_jobs if n_jobs is None else n_jobs):
            base = self._begun(energy, base, method)
            return estimated(energy, base, entropy, method=method, **options)

    def _begun(self, energy, base, method):
        """The distribution that log Z is found from."""
        return noise_as_base(energy, base, method) if is_noise(base) else self._base(energy, base)

    def _base(self, energy, base):
        accepted = f"one of {BASES}, ({energy.n_features},) means strictly between 0 and 1"
        if isinstance(base, str):
            if base not in BASES:
                raise wrong_base(base, accepted)
            if base == "uniform":
                return energy.base(np.full(energy.n_features, 0.5))
            return energy.base(self._marginals() if base == "marginals" else None)
        try:
            means = np.asarray(base, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise wrong_base(base, accepted) from error
        if means.shape != (energy.n_features,) or not ((means > 0) & (means < 1)).all():
            raise ValueError(
                f"log_partition: base must be {accepted}, got an array of shape {means.shape}."
            )
        return energy.base(means)

    def _energies(self, X):
        """E(x) of each row of X, block by block."""
        rows, energy = self._rows(X), self._energy()
        out = np.empty(len(rows))
        with threads(self.n_jobs):
            for part, block in rows.blocks(energy.dtype, energy.rows_per_call()):
                out[part] = energy.energy(block)
        return out

    def _fingerprint(self):
        digest = hashlib.blake2b(digest_size=16)
        for array in self._parameters():
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()
