"""No damaged weights file ends in a traceback, or costs much more than the intact one."""

import os
import subprocess
import sys

import pytest


def fuzzed(root, *arguments):
    """Returns the last lines that the script prints: a table by format, and the sum."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork and the kernel's accounts of processes")
    environment = {**os.environ, "PYTHONPATH": str(root), "JAXPERCEPT_CACHE": "off"}
    script = [sys.executable, str(root / "tests" / "fuzz_weights.py"), *arguments]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 bad" in done.stdout
    return done.stdout


def test_damaged_weights_files_of_seven_formats(root):
    table = fuzzed(root, "--mutants", "42", "--seed", "2")
    assert table.count("\n") == 9


@pytest.mark.slow
def test_many_damaged_weights_files(root):
    fuzzed(root, "--mutants", "1050", "--seed", "1")
