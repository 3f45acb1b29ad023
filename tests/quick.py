"""Options that make compilation take a third of the time, for tests of neither rounding nor speed:
for `jax.jit`, and for the environment of another process.
"""

QUICK = {"xla_backend_optimization_level": 0}
FLAGS = "--xla_backend_optimization_level=0"
