"""The training that tests/test_kill.py kills: `kill_worker.py PHOTOS OUT`."""

import sys

import step_runs

from jaxpercept.training import loop

loop.train(step_runs.pixel_config(sys.argv[1], sys.argv[2]))
