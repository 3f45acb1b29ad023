"""One of two processes that tests/test_distributed.py starts: `joining_worker.py COORDINATOR ID`.

It prints what the two agreed on, as one line of JSON.
"""

import json
import sys

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.training import processes


def main(coordinator: str, number: int) -> None:
    found = {}
    with processes.join((coordinator, 2, number)):
        found["gathered"] = processes.gather(np.array([7 + number], np.uint32)).tolist()
        vote = processes.AnyProcess()  # it answers the previous call
        found["votes"] = [vote(yes) for yes in (number == 1, number == 0, False, False)]
        processes.check_same(fine=1)
        try:
            processes.check_same(fine=1, settings=number)
        except InputError as e:
            found["differ"] = str(e)
    print(json.dumps(found))


main(sys.argv[1], int(sys.argv[2]))
