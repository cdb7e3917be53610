"""Our OpenAPI against the running server: schemathesis finds no 5xx and no undeclared answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from running import Scripted, running

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance,negative_data_rejection,ignored_auth"
)


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path):
    run(tmp_path, "300")


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_a_short_run(tmp_path):
    run(tmp_path, "15")


def run(folder, examples):
    with running(folder, Scripted(), balance=1000) as served:
        program = Path(sys.executable).parent / "schemathesis"
        done = subprocess.run(
            [
                str(program), "run", served.url + "/openapi.json",
                "--header", f"Authorization: Bearer {served.secret}",
                "--checks", CHECKS, "--max-examples", examples, "--seed", "7",
                "--phases", "examples,coverage,fuzzing", "--no-color", "--workers", "1",
            ],
            capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
