"""Makes compilation take a fifth of the time: XLA does not optimise, and XLA:CPU uses its older
code generator. Tests run this way, unless they take the fixture `optimised`.
"""

from importlib.metadata import version

OLDER = version("jaxlib") < "0.12"  # which no longer has the older code generator
EMITTERS = "--xla_cpu_use_fusion_emitters=false" if OLDER else ""
FLAGS = f"--xla_backend_optimization_level=0 {EMITTERS}"  # XLA_FLAGS for other processes
QUICK = {"xla_backend_optimization_level": 0}  # compiler options, where others are optimised
