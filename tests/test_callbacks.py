"""Callbacks of scikit-learn 1.9 and later watch a fit epoch by epoch; older versions do without."""

import importlib
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skebm
from skebm import PCDRBM

sklearn_callback = pytest.importorskip("sklearn.callback")
pytestmark = pytest.mark.filterwarnings("ignore:.*ended with a log-pseudolikelihood")


class Watcher:
    """Records what it is told; can ask to stop, or fail, at the end of a given epoch."""

    def __init__(self, stop_after=None, fail_at=None, hook="end"):
        self.stop_after, self.fail_at, self.hook = stop_after, fail_at, hook
        self.events, self.models, self.ended = [], [], 0

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))
        if context.task_name == "epoch" and self.hook == "begin":
            self._fail(context)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator, X, metadata):
        self.events.append(("end", context.task_name, context.task_id))
        if context.task_name != "epoch":
            return False
        self.models.append(fitted_estimator)
        self.metadata, self.X = metadata, X
        if self.hook == "end":
            self._fail(context)
        self.ended += 1
        return self.ended == self.stop_after

    def _fail(self, context):
        if context.task_id == self.fail_at:
            raise ArithmeticError("from the hook")


def watched(estimator_class, watcher, **params):
    model = estimator_class(4, **{"n_iter": 4, "random_state": 0, **params})
    return model.set_callbacks(watcher)


def test_one_task_per_epoch(estimator_class, bits):
    watcher = Watcher()
    model = watched(estimator_class, watcher).fit(bits)
    epochs = [(kind, "epoch", i) for i in range(4) for kind in ("begin", "end")]
    assert watcher.events == [
        "setup", ("begin", "fit", 0), *epochs, ("end", "fit", 0), "teardown",
    ]  # fmt: skip
    assert watcher.X is bits and watcher.metadata is None
    plain = estimator_class(4, n_iter=4, random_state=0).fit(bits)
    np.testing.assert_array_equal(model.components_, plain.components_)
    model.fit(bits, sample_weight=np.ones(150))
    np.testing.assert_array_equal(watcher.metadata["sample_weight"], np.ones(150))


def test_each_epoch_shows_the_model_of_that_moment(estimator_class, bits):
    watcher = Watcher()
    model = watched(estimator_class, watcher, learning_rate_schedule="constant")
    model.fit(bits).score(bits)
    model.fit(bits)  # must not show the log Z of the first fit
    for epoch, shown in enumerate(watcher.models[4:], start=1):
        stopped = clone(model).set_callbacks().set_params(n_iter=epoch).fit(bits)
        np.testing.assert_array_equal(shown.components_, stopped.components_)
        assert shown.n_iter_ == len(shown.history_["weight_norm"]) == epoch
        np.testing.assert_array_equal(shown.score_samples(bits), stopped.score_samples(bits))
        np.testing.assert_array_equal(
            shown.partial_fit(bits).components_, stopped.partial_fit(bits).components_
        )


def test_a_callback_stops_the_fit(estimator_class, bits):
    watcher = Watcher(stop_after=2)
    model = watched(estimator_class, watcher, learning_rate_schedule="constant").fit(bits)
    assert model.n_iter_ == 2
    assert all(values.shape == (2,) for values in model.history_.values())
    assert watcher.events[-2:] == [("end", "fit", 0), "teardown"]
    short = estimator_class(4, n_iter=2, learning_rate_schedule="constant", random_state=0)
    np.testing.assert_array_equal(model.components_, short.fit(bits).components_)


@pytest.mark.parametrize("hook, completed", [("begin", 2), ("end", 3)])
def test_an_error_in_a_hook_leaves_the_last_completed_epoch(estimator_class, bits, hook, completed):
    params = {"learning_rate_schedule": "constant"}
    watcher = Watcher(fail_at=2, hook=hook)
    model = watched(estimator_class, watcher, **params)
    with pytest.raises(ArithmeticError, match="from the hook"):
        model.fit(bits)
    assert watcher.events[-1] == "teardown"
    assert model.n_iter_ == completed
    short = estimator_class(4, n_iter=completed, random_state=0, **params).fit(bits)
    np.testing.assert_array_equal(model.components_, short.components_)
    model.set_callbacks().partial_fit(bits)


def test_bad_input_is_refused_before_any_callback_runs(estimator_class, bits):
    watcher = Watcher()
    with pytest.raises(ValueError, match="n_iter must"):
        watched(estimator_class, watcher, n_iter=-1).fit(bits)
    assert watcher.events == []


def test_scoring_monitor_follows_the_likelihood(estimator_class, bits):
    monitor = sklearn_callback.ScoringMonitor(
        scoring={"log_likelihood": lambda estimator, X, y: estimator.score(X)}
    )
    model = watched(estimator_class, monitor).fit(bits, np.zeros(150))
    rows = [row for row in monitor.get_logs(select="most_recent").data]
    scores = [row["log_likelihood"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 4 and len(set(scores)) == 4
    assert scores[-1] == model.score(bits)


def test_callbacks_survive_clone_and_search(bits):
    monitor = sklearn_callback.ScoringMonitor(scoring={"ll": score_of_rows})
    model = watched(PCDRBM, monitor, n_iter=2)
    search = GridSearchCV(model, {"learning_rate": [0.05, 0.1]}, cv=2, n_jobs=2)
    search.fit(bits, np.zeros(150))
    expected = GridSearchCV(clone(model).set_callbacks(), {"learning_rate": [0.05, 0.1]}, cv=2)
    expected.fit(bits)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def score_of_rows(estimator, X, y):
    return estimator.score(X)


def test_progress_bar(estimator_class, bits, capsys):
    pytest.importorskip("rich")
    model = watched(estimator_class, sklearn_callback.ProgressBar()).fit(bits)
    shown = capsys.readouterr().out
    assert estimator_class.__name__ in shown and "100%" in shown
    plain = estimator_class(4, n_iter=4, random_state=0).fit(bits)
    np.testing.assert_array_equal(model.components_, plain.components_)


@pytest.fixture
def older_scikit_learn(monkeypatch):
    """The package, imported anew where ``sklearn.callback`` does not exist."""
    names = [name for name in sys.modules if name.split(".")[0] == "skebm"]
    kept = {name: sys.modules.pop(name) for name in names}
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    yield importlib.import_module("skebm")
    for name in [name for name in sys.modules if name.split(".")[0] == "skebm"]:
        del sys.modules[name]
    sys.modules.update(kept)


def test_older_scikit_learn_fits_the_same(older_scikit_learn, bits):
    for name in ("CDRBM", "PCDRBM", "RdmRBM", "PseudoLikelihoodRBM", "RatioMatchingRBM"):
        cls = getattr(older_scikit_learn, name)
        assert cls is not getattr(skebm, name) and not hasattr(cls, "set_callbacks")
        model = cls(4, n_iter=3, random_state=0).fit(bits)
        newer = getattr(skebm, name)(4, n_iter=3, random_state=0).fit(bits)
        assert model.n_iter_ == 3
        np.testing.assert_array_equal(model.components_, newer.components_)
