"""Kernels are built when they can be, and their absence is said once and costs no result."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import torch, warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from speciale import ops
    from speciale.ops.cpu_build import library
    with torch.no_grad():
        y = ops.linear(torch.ones(1, 3), torch.ones(2, 3))
    library()
print(library() is not None, y.tolist(), [str(w.message) for w in said])
"""


def run(tmp_path, **environment):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_built_once_and_kept(tmp_path):
    if run(tmp_path).startswith("False"):
        pytest.skip("no C++ compiler")
    [built] = (tmp_path / "speciale").glob("*.so")
    stamp = built.stat().st_mtime_ns
    assert run(tmp_path).startswith("True [[3.0, 3.0]] []")
    assert built.stat().st_mtime_ns == stamp
    assert not list((tmp_path / "speciale").glob("tmp*"))


def test_without_a_compiler_pytorch_does_it_and_says_so_once(tmp_path):
    out = run(tmp_path, PATH="/nowhere")
    assert out.startswith("False [[3.0, 3.0]]") and out.count("no C++ compiler") == 1


def test_a_compiler_that_fails_is_quoted(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho no such luck >&2\nexit 1\n")
    broken.chmod(0o755)
    out = run(tmp_path, CXX=str(broken))
    assert out.startswith("False") and "no such luck" in out


def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path):
    (tmp_path / "speciale").mkdir()
    (tmp_path / "speciale").chmod(0o777)
    out = run(tmp_path)
    assert out.startswith("False") and "can be written by others" in out


@pytest.mark.slow
def test_pytorch_can_be_asked_for(tmp_path):
    assert run(tmp_path, SPECIALE_KERNELS="torch").startswith("False [[3.0, 3.0]] []")
