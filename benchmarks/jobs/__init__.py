"""Jobs that can be timed, by the name that a row of the configuration calls them."""

from benchmarks.jobs import densities, log_z, resources, updates

JOBS = {
    "update": updates.update,
    "digits": updates.whole_fit,
    "temperature": log_z.temperature,
    "state": log_z.state,
    "exact": log_z.exact,
    "transform": densities.transform,
    "score_samples": densities.score_samples,
    "log_pseudolikelihood": densities.log_pseudolikelihood,
    "memory": resources.memory,
    "import": resources.import_time,
    "first fit": resources.first_fit,
}
