"""`speciale synth starter`: a store of one pattern, and patterns that there are not."""

import pytest
from typer.testing import CliRunner

from speciale.errors import ConfigError
from speciale.synth.commands import synth_app
from speciale.tasks.synthesised.family import read_family


def test_patterns_that_there_are_not(tmp_path):
    result = CliRunner().invoke(
        synth_app, ["starter", "--pattern", "chains", "--out", str(tmp_path / "new")]
    )
    assert isinstance(result.exception, ConfigError)
    assert "no pattern 'chains': name some of chain, hops" in str(result.exception)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_store_and_its_audit(tmp_path):
    command = ["starter", "--pattern", "refill", "-n", "5", "--out", str(tmp_path / "made")]
    result = CliRunner().invoke(synth_app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "made" / "families").iterdir()
    found = read_family(folder)
    assert found.about.category == "starter-refill" and len(found.tasks) >= 12
    audit = CliRunner().invoke(synth_app, ["audit", str(tmp_path / "made")], catch_exceptions=False)
    assert audit.exit_code == 0, audit.output
