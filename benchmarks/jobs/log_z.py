"""log Z: one temperature of annealed importance sampling, one state of the exact sum."""

from benchmarks.jobs.work import Measured, Work, random_model


def temperature(peer, row, folder):
    """One temperature of AIS of all chains: two matrix products."""
    parameters, chains = random_model(row), row["n_chains"]
    few = min(10, row["temperatures"])
    return Work(
        unit="per temperature",
        run=lambda: Measured(peer.temperature_seconds(parameters, chains, row["temperatures"])),
        warm_up=lambda: peer.temperature_seconds(parameters, chains, few),
        flops=4.0 * chains * row["n_components"] * row["n_features"],
    )


def state(peer, row, folder):
    """One hidden state of the exact log Z; ``states`` limits those who are slow at it."""
    run = _enumeration(peer, row)
    return Work(unit="per state", run=lambda: Measured(run()), warm_up=run)


def exact(peer, row, folder):
    """The whole exact log Z, all 2^n_components states."""
    run = _enumeration(peer, row)
    n_states = 2.0 ** row["n_components"]
    small = _enumeration(peer, row | {"n_components": 12})
    return Work(unit="", run=lambda: Measured(n_states * run()), warm_up=small)


def _enumeration(peer, row):
    parameters = random_model(row)
    return lambda: peer.state_seconds(parameters, row.get("states"))
