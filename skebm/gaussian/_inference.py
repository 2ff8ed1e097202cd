"""How sure one can be of the entries of a learned precision matrix."""

import numbers

import numpy as np
import scipy.sparse as sp
from scipy.stats import false_discovery_control
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skebm._jit import threads
from skebm._validation import Number, check_parameters
from skebm.gaussian._errors import student_quantile, two_sided
from skebm.gaussian._judged import evidence, judged_debiased, judged_itself

_RULES = {
    "level": Number(numbers.Real, 0, 1, above=True, below=True),
    "fdr": Number(numbers.Real, 0, 1, above=True, below=True, also=(None,)),
}


class InfersEdges:
    """Standard errors, intervals and tests of the Gaussian estimators."""

    def standard_errors(self, X=None, *, sample_weight=None):
        """Standard errors of the precision matrix and the location.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Rows that the model was learned from; None means those of ``fit``. NaN is unknown with
            ``missing="pairwise"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X, equal to as many copies of them.

        Returns
        -------
        Bunch
            ``precision`` (n_features, n_features) and ``location`` (n_features,), float64. Without
            a penalty those of ``precision_``, with L1 those of :meth:`debiased_precision`, since an
            entry that L1 made zero has no normal error. NaN for columns that are constant, 0 for a
            location that was assumed and, inside bounds, for pairs that must be zero.

        Raises
        ------
        ValueError
            If there are no rows, or too few; if they do not determine the parameters; if
            ``covariance`` was one of ranks; inside bounds with an L1 penalty, or beyond 2,500
            parameters. The message says which.

        Notes
        -----
        A row x moves K_ij by -(z_i z_j - K_ij) / n, z = K (x - mu), so that the variance of K_ij is
        that of z_i z_j over rows, divided by n, whatever the distribution of the data; of normal
        data it is (K_ii K_jj + K_ij^2) / n. It is divided by n less the parameters of both rows of
        K instead, n - p without a penalty: with few rows for each variable n is too many, by a
        factor of 2 in the variance at n = 2p. A ridge enters K, and that of scaled columns their
        scales: the errors are those around the value that the penalised estimate tends to.

        2 n p^2 operations and memory for 5 matrices of p^2 numbers; with NaN, or with a ridge on
        standardised columns, 6 n p^3. Inside bounds it is the sandwich of the generalised loss
        over the entries that are not zero.

        References
        ----------
        P. J. Huber (1967). The behavior of maximum likelihood estimates under nonstandard
        conditions. Proc. 5th Berkeley Symposium, volume 1.

        J. Jankova, S. van de Geer (2015). Confidence intervals for high-dimensional inverse
        covariance estimation. Electronic Journal of Statistics 9.

        Examples
        --------
        >>> from skebm import ScoreMatchingGaussian
        >>> K = [[2.0, 1.0], [1.0, 2.0]]
        >>> truth = ScoreMatchingGaussian.from_parameters(K, [0.0, 0.0])
        >>> model = ScoreMatchingGaussian(0.0).fit(truth.sample(1000, random_state=0))
        >>> model.standard_errors().precision.round(2)  # sqrt(8 / 1000), sqrt(5 / 1000)
        array([[0.09, 0.07],
               [0.07, 0.09]])
        """
        judged = self._judged(judged_itself, "standard_errors", X, sample_weight)
        return Bunch(precision=judged.errors, location=judged.location_errors)

    def debiased_precision(self, X=None, *, sample_weight=None):
        """The precision matrix without the bias that its penalties brought.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Rows that the model was learned from; None means those of ``fit``. NaN is unknown with
            ``missing="pairwise"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X, equal to as many copies of them.

        Returns
        -------
        ndarray of shape (n_features, n_features)
            An estimate of the inverse covariance with asymptotically normal entries, none of them
            zero; it need not be positive definite.

        Raises
        ------
        ValueError
            As :meth:`standard_errors`, and inside bounds with a ridge.

        Notes
        -----
        2 K - K S K, S the covariance of the rows: a Newton step from K towards the inverse of S
        that needs no inverse, so that p > n is allowed. What is left of the bias is of second order
        in the distance of K from the truth: small for sparse K at alpha about sqrt(log(p) / n),
        larger beyond. Of a ridge besides L1 the first order goes too, and the rest is small up to
        some 0.02 of the variances; of a ridge alone all goes, since the step is then made from the
        inverse of S, which takes n > p + 2.

        Rows and columns are then multiplied by sqrt((n - d - 3) / n), d the neighbours of each:
        without a penalty K itself is too large by n / (n - p - 2) on average of normal data, the
        factor exactly undoes that. With fewer neighbours it matters less; beyond the alpha above,
        where the rest of the penalty's bias cancels it, diagonal entries come out too small by it.

        References
        ----------
        J. Jankova, S. van de Geer (2015). Confidence intervals for high-dimensional inverse
        covariance estimation. Electronic Journal of Statistics 9.

        M. Yu, V. Gupta, M. Kolar (2020). Simultaneous inference for pairwise graphical models with
        generalized score matching. Journal of Machine Learning Research 21.

        Examples
        --------
        >>> from skebm import ScoreMatchingGaussian
        >>> K = [[2.0, 1.0], [1.0, 2.0]]
        >>> truth = ScoreMatchingGaussian.from_parameters(K, [0.0, 0.0])
        >>> model = ScoreMatchingGaussian(0.1).fit(truth.sample(10_000, random_state=0))
        >>> debiased = model.debiased_precision()
        >>> round(float(model.precision_[0, 1]), 1), round(float(debiased[0, 1]), 1)
        (0.8, 1.0)
        """
        return self._judged(judged_debiased, "debiased_precision", X, sample_weight).estimate

    def edge_confidence_intervals(self, level=0.95, X=None, *, sample_weight=None):
        """Confidence intervals of all entries of the precision matrix.

        Parameters
        ----------
        level : float, default=0.95
            Share of intervals that cover the truth, of each entry by itself.
        X : array-like of shape (n_samples, n_features), default=None
            Rows that the model was learned from; None means those of ``fit``. NaN is unknown with
            ``missing="pairwise"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X, equal to as many copies of them.

        Returns
        -------
        Bunch
            ``low``, ``high`` and ``estimate``, each (n_features, n_features): the interval is
            around :meth:`debiased_precision`, also for an entry that is zero in ``precision_``.

        Raises
        ------
        ValueError
            As :meth:`debiased_precision`, or if ``level`` is not between 0 and 1.

        Notes
        -----
        Student's t with n - d - 1 degrees of freedom, d the neighbours of a variable, times
        :meth:`standard_errors` of the debiased entry, which hold for other data than normal too.

        Shares of 95 % intervals that covered, of 60 fits to normal data each, random graphs of
        p = 50 with 3 neighbours on average; a = sqrt(log(p) / n), errors 0.002, with 0.01 for the
        last column:

        =====  ========  =========  ==========  ============
        n / p  alpha     all pairs  edges only  the diagonal
        =====  ========  =========  ==========  ============
        2      0         0.959      0.954       0.94
        2      a         0.962      0.941       0.85
        2      1.5 a     0.951      0.942       0.71
        5      0         0.952      0.953       0.95
        5      a         0.960      0.940       0.89
        5      1.5 a     0.954      0.937       0.76
        20     0         0.948      0.944       0.95
        20     a         0.955      0.948       0.94
        20     1.5 a     0.956      0.946       0.88
        =====  ========  =========  ==========  ============

        So pairs are safe, and the diagonal only for a small ``alpha``. With ``alpha=0.01`` pairs
        had 0.943 to 0.945; at p = 10 and ``alpha`` of a or more edges had 0.91 to 0.94; at p = 100
        and n = 50 all pairs 0.97. Without n - d and its like 0.83 at n = 2p and ``alpha=0``. Heavy
        tails (Student's t with 5 degrees of freedom, n = 5p) leave 0.91 without a penalty and 0.95
        with L1. A ridge of 0.1 besides L1 leaves 0.88 of the edges.

        Inside bounds it is the normal distribution, around ``precision_``.

        Examples
        --------
        >>> from skebm import ScoreMatchingGaussian
        >>> K = [[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
        >>> truth = ScoreMatchingGaussian.from_parameters(K, [0.0, 0.0, 0.0])
        >>> model = ScoreMatchingGaussian(0.1).fit(truth.sample(1000, random_state=0))
        >>> intervals = model.edge_confidence_intervals(0.99)
        >>> (intervals.low > 0) | (intervals.high < 0)
        array([[ True,  True, False],
               [ True,  True, False],
               [False, False,  True]])
        """
        check_parameters({"level": _RULES["level"]}, {"level": level}, "edge_confidence_intervals")
        judged = self._judged(judged_debiased, "edge_confidence_intervals", X, sample_weight)
        reach = student_quantile(level, judged.degrees)
        reach = np.maximum(reach, reach[:, None]) * judged.errors
        estimate = judged.estimate
        return Bunch(low=estimate - reach, high=estimate + reach, estimate=estimate)

    def edge_pvalues(self, fdr=None, X=None, *, sample_weight=None):
        """Test of each pair for independence given all other variables, and a graph.

        Parameters
        ----------
        fdr : float or None, default=None
            Share of false edges that are expected among those of ``graph`` at the most; None means
            no graph.
        X : array-like of shape (n_samples, n_features), default=None
            Rows that the model was learned from; None means those of ``fit``. NaN is unknown with
            ``missing="pairwise"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of X, equal to as many copies of them.

        Returns
        -------
        Bunch
            ``pvalues`` (n_features, n_features), two-sided, of K_ij = 0; ``adjusted``, the same for
            all pairs i < j at once by Benjamini and Hochberg: the least ``fdr`` at which a pair is
            an edge; ``graph``, a ``csr_array`` of debiased entries of the pairs whose adjusted
            value is at most ``fdr``, or None. NaN on the diagonal and for pairs that nothing is
            known of: of constant columns, or that must be zero inside bounds.

        Raises
        ------
        ValueError
            As :meth:`debiased_precision`, or if ``fdr`` is not between 0 and 1.

        Notes
        -----
        p-values are those of Student's t for debiased entries over their standard errors, as
        :meth:`edge_confidence_intervals` has them. They depend on each other; the method of
        Benjamini and Hochberg holds for that approximately. On the random graphs described there
        the share of false edges at ``fdr=0.1`` was 0.11 at the most, but for heavy tails without L1
        0.22. L1 finds more edges: with ``alpha`` = a 74 % at n = 5p, 52 % without.

        References
        ----------
        Y. Benjamini, Y. Hochberg (1995). Controlling the false discovery rate: a practical and
        powerful approach to multiple testing. Journal of the Royal Statistical Society B 57.

        W. Liu (2013). Gaussian graphical model estimation with false discovery rate control. Annals
        of Statistics 41.

        Examples
        --------
        >>> import numpy as np
        >>> from skebm import ScoreMatchingGaussian
        >>> chain = np.eye(6) + 0.4 * (np.eye(6, k=1) + np.eye(6, k=-1))
        >>> truth = ScoreMatchingGaussian.from_parameters(chain, np.zeros(6))
        >>> model = ScoreMatchingGaussian(0.05).fit(truth.sample(1000, random_state=0))
        >>> np.argwhere(np.triu(model.edge_pvalues(fdr=0.05).graph.toarray()))
        array([[0, 1],
               [1, 2],
               [2, 3],
               [3, 4],
               [4, 5]])
        """
        check_parameters({"fdr": _RULES["fdr"]}, {"fdr": fdr}, "edge_pvalues")
        judged = self._judged(judged_debiased, "edge_pvalues", X, sample_weight)
        p = len(judged.estimate)
        rows, columns = np.triu_indices(p, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = judged.estimate[rows, columns] / judged.errors[rows, columns]
        degrees = np.minimum(judged.degrees[rows], judged.degrees[columns])
        values = two_sided(statistic, degrees)
        adjusted, known = np.full(len(values), np.nan), ~np.isnan(values)
        if known.any():
            adjusted[known] = false_discovery_control(values[known])
        graph = None
        if fdr is not None:
            found = adjusted <= fdr
            ends = rows[found], columns[found]
            upper = sp.csr_array((judged.estimate[ends], ends), shape=(p, p))
            graph = sp.csr_array(upper + upper.T)
        return Bunch(pvalues=_symmetric(values, p), adjusted=_symmetric(adjusted, p), graph=graph)

    def _judged(self, judge, method, X, sample_weight):
        check_is_fitted(self)
        name = f"{type(self).__name__}: {method}"
        X, weights = evidence(self, name, X, sample_weight)
        with threads(self.n_jobs):
            return judge(self, name, X, weights)


def _symmetric(values, p):
    """A matrix with these above and below its diagonal, which is NaN."""
    out = np.full((p, p), np.nan)
    out[np.triu_indices(p, 1)] = values
    return np.fmax(out, out.T)
