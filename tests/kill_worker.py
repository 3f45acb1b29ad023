"""The training that tests/test_kill.py kills: `kill_worker.py PHOTOS OUT [STEP]` waits for it after
that step, so that the run is never done before.
"""

import signal
import sys

import step_runs

from jaxpercept.training import loop

photos, out, *last = sys.argv[1:]


def logged(line):
    if last and line["step"] >= int(*last):
        signal.pause()


loop.train(step_runs.pixel_config(photos, out), on_log=logged)
