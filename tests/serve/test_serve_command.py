"""`speciale serve` as a program: what it prints, its configuration, draining, and a kill."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from speciale.errors import ConfigError
from speciale.serve.accounts.prices import DEEPSEEK_V32, Price
from speciale.serve.config import PriceTable, read_config

ROOT = Path(__file__).parents[2]
QUIET = '[[deployments]]\nname = "null"\nbackend = "null:20"\nfilter = { enabled = false }\n'


class Served:
    """The program on a port of its own; `said` is what it printed."""

    def __init__(self, folder, *arguments, config=QUIET, **environment):
        (folder / "service.toml").write_text(config)
        command = [sys.executable, "-c", "from speciale.cli import main; main()", "serve"]
        self.process = subprocess.Popen(
            [*command, "--config", "service.toml", "--port", "0", *arguments],
            cwd=folder, env={**os.environ, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=(folder / "log").open("a"),
        )  # fmt: skip
        self.said = ""
        while "try:" not in self.said:
            line = self.process.stdout.readline()
            assert line, f"it ended: {(folder / 'log').read_text()}"
            self.said += line
        self.url = re.search(r"API: +(\S+)/v1", self.said)[1]
        found = re.search(r"sk-[\w-]+", self.said)
        self.secret = environment.get("SPECIALE_API_KEY") or (found and found[0])

    def post(self, **body):
        body = {"model": "null", "messages": [{"role": "user", "content": "Hi"}], **body}
        headers = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        url = self.url + "/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_a_demo_key_is_printed_and_the_printed_command_works(tmp_path):
    with Served(tmp_path) as served:
        assert served.secret and "demo key" in served.said
        command = re.search(r"try: +(curl .*)", served.said)[1]
        done = subprocess.run(
            command.replace("curl ", "curl -s ", 1), shell=True, capture_output=True, text=True
        )
        assert '"chat.completion"' in done.stdout, done.stdout + done.stderr
        assert httpx.get(served.url + "/").text.startswith("<!")
        first = served.secret
    with Served(tmp_path) as served:  # the old demo key is void
        assert served.secret != first and served.post(max_tokens=1).is_success
        served.secret = first
        assert served.post(max_tokens=1).status_code == 401


def test_a_key_from_the_environment_is_never_printed(tmp_path):
    secret = "a-key-of-the-operators-own"
    with Served(tmp_path, SPECIALE_API_KEY=secret) as served:
        assert served.post(max_tokens=1).is_success and secret not in served.said
    assert secret not in (tmp_path / "log").read_text()
    files = [p.read_bytes() for p in tmp_path.glob("speciale.db*")]
    assert files and not any(secret.encode() in data for data in files)


def test_no_auth_is_for_loopback_only(tmp_path):
    with Served(tmp_path, "--no-auth") as served:
        assert served.secret is None and served.post(max_tokens=1).is_success
    with pytest.raises(ConfigError, match="loopback"):
        read_config(None, host="0.0.0.0", auth=False)


def test_a_term_signal_lets_answers_end(tmp_path):
    with Served(tmp_path, "--no-auth") as served:
        url = served.url + "/v1/chat/completions"
        body = {"model": "null", "stream": True, "max_tokens": 30}
        body["messages"] = [{"role": "user", "content": "Hi"}]
        with httpx.stream("POST", url, json=body, timeout=30) as response:
            lines = response.iter_lines()
            next(lines)
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            with pytest.raises(httpx.ConnectError):
                httpx.get(served.url + "/healthz")
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]" and len(rest) >= 30
        assert served.process.wait(10) == -signal.SIGTERM  # as uvicorn ends


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("port = 99999", "port"),
        ("colour = 1", "colour"),
        ('[[deployments]]\nname = "a"', "give one"),
        ('[[deployments]]\nname = "a"\nbackend = "none"', "backend"),
        (QUIET + QUIET, "several deployments are called null"),
        (QUIET + "price = { output = 0.0001 }", "price.output"),
        (QUIET.replace("enabled = false", 'fail = "maybe"'), "filter's fail is 'maybe'"),
        ("port = ", "no TOML"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(tmp_path, config, said):
    path = tmp_path / "service.toml"
    path.write_text(config)
    with pytest.raises(ConfigError, match=said):
        read_config(path)


def test_the_environment_lies_over_the_file(tmp_path, monkeypatch):
    path = tmp_path / "service.toml"
    path.write_text("port = 9000\n[limits]\ndrain_s = 7\nbody_bytes = 5000\n" + QUIET)
    monkeypatch.setenv("SPECIALE_LIMITS__DRAIN_S", "60")
    monkeypatch.setenv("SPECIALE_HOST", "::1")
    config = read_config(path, port=9001)
    assert (config.port, config.host, config.limits.drain_s) == (9001, "::1", 60)
    assert config.limits.body_bytes == 5000 and config.deployments[0].backend == "null:20"


def test_prices_are_whole_nano_dollars_a_token(tmp_path):
    path = tmp_path / "service.toml"
    path.write_text(QUIET + "price = { cache_hit = 0.57, cache_miss = 1.001, output = 2 }")
    assert read_config(path).deployments[0].price.price() == Price(570, 1001, 2000)
    assert PriceTable().price() == DEEPSEEK_V32
    for bad in ("-1", "0.0001", "nan", '"x"', "true"):
        path.write_text(QUIET + f"price = {{ output = {bad} }}")
        with pytest.raises(ConfigError, match=r"price\.output"):
            read_config(path)


def test_the_deployed_configuration_is_one(monkeypatch):
    config = read_config(ROOT / "deploy" / "service.toml")
    assert config.deployments[0].upstreams[0].flavour == "vllm"


def test_nothing_to_serve_and_a_missing_run(command, tmp_path):
    (tmp_path / "empty.toml").write_text("")
    code, _, err = command("serve", "--config", str(tmp_path / "empty.toml"))
    assert code == 1 and "nothing to serve" in err
    code, _, err = command("serve", "no/such/run")
    assert code == 1 and "no/such/run" in err


def test_a_port_in_use(tmp_path):
    with Served(tmp_path) as served:
        port = served.url.rsplit(":", 1)[1]
        done = subprocess.run(
            [sys.executable, "-c", "from speciale.cli import main; main()", "serve",
             "--config", "service.toml", "--port", port],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode != 0 and "try:" not in done.stdout
    assert "in use" in done.stderr
