"""dwave-samplers: its simulated annealing held at one temperature, with Gibbs acceptance.

It updates the local fields of the neighbours of a spin when that spin has flipped, on one thread,
in float64.
"""

from importlib.metadata import version as installed

import dimod
import numpy as np
from dwave.samplers import SimulatedAnnealingSampler


def version():
    return f"dwave-samplers {installed('dwave-samplers')}"


def sampling(J, h, n_chains, n_sweeps):
    """A call that returns ``n_chains`` states after ``n_sweeps`` from fair coins.

    dimod's energy is h.s + sum J s s, so its signs are the other ones.
    """
    pairs = zip(*np.triu_indices(len(h), 1))
    couplings = {(i, j): -float(J[i, j]) for i, j in pairs}
    model = dimod.BinaryQuadraticModel.from_ising(dict(enumerate(-h.astype(float))), couplings)
    sampler = SimulatedAnnealingSampler()

    def draw():
        found = sampler.sample(
            model, num_reads=n_chains, num_sweeps_per_beta=n_sweeps, beta_schedule=[1.0],
            beta_schedule_type="custom", proposal_acceptance_criteria="Gibbs", seed=0,
        )  # fmt: skip
        return found.record.sample[:, np.argsort(found.variables)]

    return draw
