"""`speciale keys ...` and `speciale usage` as a person uses them, beside a server."""

import csv
import io
import json
import sys

import pytest
import typer
from accounts_kit import run

from speciale.errors import SpecialeError
from speciale.serve.accounts import schema
from speciale.serve.accounts.commands import keys_app, usage
from speciale.serve.accounts.database import Database
from speciale.serve.accounts.metering import Spent

app = typer.Typer()
app.add_typer(keys_app, name="keys")
app.command("usage")(usage)


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs one in an empty folder; (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECIALE_DATABASE", raising=False)

    def run_one(*arguments):
        monkeypatch.setattr(sys, "argv", ["speciale", *arguments])
        code = 0
        try:
            app()
        except SystemExit as stop:
            code = stop.code or 0
        except SpecialeError as error:  # as speciale.cli.main does
            print(f"error: {error}", file=sys.stderr)
            code = 1
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


def use(url, secret, *requests):
    """Sends requests (model, Spent) as the server does."""

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        for i, (model, spent) in enumerate(requests):
            admission = await accounts.admit(key, f"{secret[3:9]}{i}", model, 100, 100)
            await accounts.settle(admission, spent)

    run(url, scenario)


def test_a_key_from_its_making_to_its_end(command, tmp_path):
    code, secret, err = command("keys", "create", "alice", "--balance", "10")
    assert code == 0
    assert secret.startswith("sk-") and secret.count("\n") == 1  # alone, for $(...)
    assert "cannot be shown again" in err and "10.00 USD to spend" in err
    assert (tmp_path / "speciale.db").exists()
    use("speciale.db", secret.strip(), ("m", Spent(0, 100, 100)))
    assert command("keys", "topup", "alice", "0.5")[1] == (
        "alice: 0.50 USD added, 10.49993 USD to spend\n"
    )
    command("keys", "limit", "alice", "--models", "a, b", "--reserve", "500", "--spill-over")
    shown = command("keys", "limit", "alice", "--requests-per-minute", "6000")[1]
    assert shown == command("keys", "show", "alice")[1]
    assert "6,000 requests/min, 500 reserved/min, then in line" in shown
    assert "models   a, b\n" in shown and "10.49993 USD" in shown
    shown = command("keys", "limit", "alice", "--models", "all", "--reserve", "0")[1]
    assert "models   all\n" in shown and "reserved" not in shown
    code, shown, _ = command("keys", "list")
    assert code == 0 and "alice" in shown and secret.strip() not in shown
    assert command("keys", "revoke", "alice")[1].endswith("10.49993 USD left unspent\n")
    assert "revoked 20" in command("keys", "list")[1]


def test_what_is_wrong_is_one_sentence_and_makes_no_file(command, tmp_path):
    for arguments, message in [
        (("keys", "list"), "There is no accounts database speciale.db: make one with"),
        (("usage",), "There is no accounts database"),
        (("keys", "create", "a", "--balance", "-1"), "'-1' is not an amount in USD"),
        (("keys", "create", "a", "--models", ","), "names no model"),
        (("usage", "--json", "--csv"), "exclude each other"),
        (("usage", "--since", "soon"), "--since 'soon' is no time"),
        (("keys", "list", "--database", "redis://:hidden@h/1"), "not in 'redis'"),
        (("keys", "list", "--database", "postgresql://u:hidden@127.0.0.1:1/d"), "d failed ("),
    ]:
        code, out, err = command(*arguments)
        assert (code, out) == (1, "")
        assert message in err and err.startswith("error: ") and err.count("\n") == 1
        assert "hidden" not in err
    assert not list(tmp_path.iterdir())
    command("keys", "create", "a")
    for arguments, message in [
        (("keys", "create", "a"), "a key named 'a' already"),
        (("keys", "topup", "b", "1"), "no key named 'b'"),
        (("usage", "--key", "b"), "no key named 'b'"),
    ]:
        code, out, err = command(*arguments)
        assert (code, out) == (1, "") and message in err


def test_usage_in_each_form(command, monkeypatch):
    monkeypatch.setenv("SPECIALE_DATABASE", "sqlite:///mine.db")
    secrets = [command("keys", "create", name, "--balance", "1")[1].strip() for name in "ab"]
    use("mine.db", secrets[0], ("x", Spent(60, 40, 10, 5)), ("y\x1b[2J", Spent(0, 100, 20)))
    use("mine.db", secrets[1], ("x", Spent(0, 100, 30)))
    costs = [60 * 28 + 40 * 280 + 10 * 420, 100 * 280 + 20 * 420, 100 * 280 + 30 * 420]
    rows = json.loads(command("usage", "--json")[1])
    assert [(row["key"], row["requests"], row["cost_nano"]) for row in rows] == [
        ("a", 2, costs[0] + costs[1]),
        ("b", 1, costs[2]),
    ]
    assert rows[1]["usd"] == "0.0000406"
    rows = list(csv.DictReader(io.StringIO(command("usage", "--csv", "--by", "model")[1])))
    assert rows[0] == {
        "model": "x", "requests": "2", "cache_hit": "60", "cache_miss": "140",
        "completion": "40", "reasoning": "5", "usd": "0.00005768",
    }  # fmt: skip
    shown = command("usage", "--by", "model")[1]
    assert "y␛[2J" in shown and "\x1b" not in shown
    assert shown.splitlines()[-1].split() == ["total", "3", "60", "240", "60", "5", "0.00009408"]
    assert len(json.loads(command("usage", "--by", "day", "--since", "1d", "--json")[1])) >= 1
    assert json.loads(command("usage", "--since", "2100-01-01", "--json")[1]) == []
    assert [r["key"] for r in json.loads(command("usage", "--key", "b", "--json")[1])] == ["b"]


def test_the_audit_fails_when_money_is_amiss(command):
    command("keys", "create", "a", "--balance", "1")
    assert command("usage", "--audit")[0] == 0
    database = Database("speciale.db")
    with database.writing() as connection:
        connection.execute(schema.api_keys.update().values(balance_nano=1))
    database.close()
    code, out, err = command("usage", "--audit")
    assert code == 1 and out.count("\n") == 1
    assert "key 'a': the balance is 0.000000001 USD, but top-ups 1.00" in out
    assert "1 differences" in err


def test_the_commands_work_on_postgresql(command, cluster):
    url = cluster.create("commands")
    code, secret, err = command("keys", "create", "a", "--balance", "1", "--database", url)
    assert code == 0 and "unused-password" not in err
    use(url, secret.strip(), ("m", Spent(0, 100, 100)))
    for arguments in (("keys", "list"), ("usage", "--by", "day"), ("usage", "--audit")):
        code, out, err = command(*arguments, "--database", url)
        assert (code, err) == (0, "") and out
        assert "unused-password" not in out


@pytest.mark.parametrize("name", ["create", "list", "show", "topup", "limit", "revoke"])
def test_every_command_has_an_example(command, name):
    code, out, _ = command("keys", name, "--help")
    assert code == 0 and f"speciale keys {name}" in out.partition("Example")[2]
