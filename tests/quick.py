"""To compile in a third of the time, where it is not rounding or speed that is looked at: for
`jax.jit`, and for the environment of another process.
"""

QUICK = {"xla_backend_optimization_level": 0}
FLAGS = "--xla_backend_optimization_level=0"
