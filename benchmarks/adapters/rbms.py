"""rbms (torch): the update of its own training loop, without that loop's log file.

``rbms.training.pcd.train`` writes a line to an HDF5 file and permutes the whole training set at
every update. Both are left out here, in its favour. Its gradients are scaled to length one, so
learning rates mean something else than elsewhere.
"""

import math
import time
from importlib.metadata import version as installed

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.dataset.dataset_class import RBMDataset
from rbms.partition_function.ais import compute_partition_function_ais
from rbms.training.pcd import fit_batch_pcd

from benchmarks.adapters import WARM_UP_ROWS, Fitted, timed
from benchmarks.scoring import Parameters

CPU = torch.device("cpu")


def version():
    return f"rbms {installed('rbms')}, torch {torch.__version__}"


def fit(data, params, budget, seed=0):
    """``params``: n_components, batch_size, n_chains, n_gibbs_steps, learning_rate, and
    ``final_rate``, the share of the rate that remains at the end of a cosine (1: constant)."""
    params = dict(params)
    final = params.pop("final_rate", 1.0)
    torch.manual_seed(seed)
    compiling, _ = timed(_Training(data.train[:WARM_UP_ROWS], **params).run, updates=20)
    training = _Training(data.train, **params)
    updates_per_epoch = len(data.train) / params["batch_size"]
    updates = None if budget.epochs is None else math.ceil(budget.epochs * updates_per_epoch)
    seconds, updates = timed(training.run, updates, budget.seconds, final)
    return Fitted(training.parameters(), updates / updates_per_epoch, seconds, compiling)


class _Training:
    def __init__(self, X, n_components, batch_size, n_chains, n_gibbs_steps, learning_rate):
        self.data, self.ones = torch.from_numpy(X), torch.ones(batch_size)
        self.batch_size, self.n_gibbs_steps = batch_size, n_gibbs_steps
        self.rate = learning_rate
        empty = np.zeros(len(X))
        dataset = RBMDataset(X, empty, np.ones(len(X)), empty, "", True, "cpu", torch.float32)
        self.model = BBRBM.init_parameters(n_components, dataset, CPU, torch.float32)
        chains = self.model.init_chains(n_chains)
        self.chains = self.model.sample_state(chains, n_steps=n_gibbs_steps)
        self.model.init_grad()

    @torch.no_grad()
    def run(self, updates=None, seconds=None, final_rate=1.0):
        """So many updates, or as many as fit in so many seconds; returns their number."""
        optimizer = torch.optim.SGD(self.model.parameters(), lr=self.rate, maximize=True)
        started, done, progress = time.perf_counter(), 0, 0.0
        while progress < 1.0:
            for group in optimizer.param_groups:
                share = (1.0 + math.cos(math.pi * progress)) / 2.0
                group["lr"] = self.rate * (final_rate + (1.0 - final_rate) * share)
            optimizer.zero_grad(set_to_none=False)
            rows = self.data[torch.randint(len(self.data), (self.batch_size,))]
            self.chains, _ = fit_batch_pcd(
                (rows, self.ones), self.chains, self.model, self.n_gibbs_steps, 1.0
            )
            optimizer.step()
            done += 1
            progress = done / updates if updates else (time.perf_counter() - started) / seconds
        return done

    def parameters(self):
        model = self.model
        arrays = (model.weight_matrix.T, model.vbias, model.hbias)
        return Parameters(*(array.contiguous().numpy() for array in arrays))


def update_seconds(X, n_components, batch_size, n_gibbs_steps):
    """Time of one PCD update with as many chains as rows."""
    training = _Training(X, n_components, batch_size, batch_size, n_gibbs_steps, 0.01)
    updates = -(-len(X) // batch_size)
    return timed(training.run, updates)[0] / updates


@torch.no_grad()
def temperature_seconds(parameters, n_chains, n_temperatures):
    """Time of one AIS temperature of all chains."""
    model = _model(parameters)
    seconds, _ = timed(compute_partition_function_ais, n_chains, n_temperatures + 1, model)
    return seconds / n_temperatures


@torch.no_grad()
def log_z(parameters, base_means, n_chains, n_temperatures, seed):
    """An AIS estimate; it starts from the visible biases of the model and knows no other base.

    Torch's threads wait for each other at every step, so it has one where that is quicker.
    """
    model, before = _model(parameters), torch.get_num_threads()
    torch.set_num_threads(_quicker_threads(model, n_chains))
    torch.manual_seed(seed)
    try:
        return compute_partition_function_ais(n_chains, n_temperatures + 1, model)
    finally:
        torch.set_num_threads(before)


def _quicker_threads(model, n_chains, n_temperatures=30):
    """One thread or all, measured at the first call for models of a size."""
    size = (n_chains, *model.weight_matrix.shape)
    if size not in _THREADS:
        seconds = {}
        for n in (torch.get_num_threads(), 1):
            torch.set_num_threads(n)
            for _ in range(3):  # the first ones compile
                run = timed(compute_partition_function_ais, n_chains, n_temperatures + 1, model)
                seconds[n] = min(run[0], seconds.get(n, math.inf))
        _THREADS[size] = min(seconds, key=seconds.get)
    return _THREADS[size]


_THREADS = {}


def _model(parameters):
    W, b, c = (torch.from_numpy(array) for array in parameters)
    return BBRBM(W.T.contiguous(), b, c)
