"""Bad input, keys, balances and rates: the documented status, OpenAI's body, never a 500."""

import json
import socket
import time

import httpx
import pytest
from running import Scripted, running

from speciale.serve import protocol
from speciale.serve.accounts import AccountsError, Database
from speciale.serve.accounts.keys import revoke_key
from speciale.serve.config import Limits


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    limits = Limits(body_bytes=100_000, body_seconds=0.5)
    folder = tmp_path_factory.mktemp("service")
    with running(folder, Scripted(), context=2_000, limits=limits) as served:
        yield served


def send(service, body, **headers):
    headers = {**service.headers(), "Content-Type": "application/json", **headers}
    return httpx.post(service.url + "/v1/chat/completions", content=body, headers=headers)


def refused(response, status):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"} and error["message"]
    return error


HELLO = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"model": "small", "messages": [\xff]}', 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b"[" * 90_000, 400),
        (b'{"model": "small", "seed": ' + b"9" * 5_000 + b"}", 400),
        (b'{"model": "small", "temperature": NaN}', 400),
        (b'{"model": "small", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b"x" * 100_001, 413),
        (json.dumps({"messages": HELLO}).encode(), 400),
        (json.dumps({"model": "small"}).encode(), 400),
    ],
    ids=range(13),
)
def test_bodies_that_are_none(service, body, status):
    refused(send(service, body), status)


def test_a_body_of_another_type(service):
    refused(send(service, b"{}", **{"Content-Type": "text/plain"}), 400)


WRONG = {
    "model": [1, None, "", [], "x" * 300],
    "messages": ["hi", {}, [], [1], [{}], [{"role": "boss", "content": "x"}], None],
    "thinking": [{"type": "maybe"}, "yes", 1],
    "max_tokens": [0, -1, 1.5, "10", True],
    "temperature": [-0.1, 2.1, "hot", []],
    "top_p": [0, 1.1, "all"],
    "stop": [["a"] * 17, "", [""], 3],
    "stream": ["yes", 1],
    "stream_options": [{"include_usage": True}, "usage"],
    "tools": [[{}], "weather", [{"type": "function", "function": {"name": "no spaces"}}], [1]],
    "tool_choice": ["some", {"function": {}}, "required", 1],
    "response_format": [{"type": "xml"}, "json", {"type": "json_schema"}],
    "logprobs": ["yes", 3],
    "top_logprobs": [5, 21, -1],
    "frequency_penalty": [-2.1, 2.1, "much"],
    "presence_penalty": [3, {}],
    "seed": [2**63, 1.5, "one"],
    "n": [0, 17, "two"],
    "user": [1, "x" * 600],
    "logit_bias": [{"50": 1}],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_value_in_each_field_is_named(service, field):
    for value in WRONG[field]:
        answer = send(service, json.dumps({"model": "small", "messages": HELLO, field: value}))
        assert answer.status_code in (400, 422), (value, answer.text)
        error = answer.json()["error"]
        named = f"{error['param']} {error['message']}"
        assert field in named or (field, "message ") == ("messages", named[5:13]), error


def test_128_tools_are_taken_and_129_are_not(service):
    tool = {"type": "function", "function": {"name": "f"}}
    tools = [{**tool, "function": {"name": f"f{i}"}} for i in range(129)]
    assert service.post(tools=tools).status_code == 422
    assert service.post(tools=tools[:128]).status_code in (200, 400)  # 400: beyond 2,000 tokens
    assert service.post(stop=[str(i) for i in range(16)]).is_success


def test_a_prompt_beyond_the_context_has_both_figures(service):
    messages = [{"role": "user", "content": "w " * 50}]
    error = refused(service.post(max_tokens=1_990, messages=messages), 400)
    assert error["code"] == "context_length_exceeded"
    assert "1,990" in error["message"] and "2,000" in error["message"]


def test_there_is_no_such_model(service):
    error = refused(service.post(model="gpt-9"), 404)
    assert error["code"] == "model_not_found" and "small" in error["message"]
    refused(service.get("/v1/models/gpt-9"), 404)


PATHS = [
    "/v1/models", "/v1/models/small", "/user/balance", "/metrics", "/openapi.json", "/nothing",
    "/v1/../metrics", "//metrics", "/page/../metrics", "/%6detrics", "/healthz/../metrics",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_there_is_nothing_but_health(service, path):
    for headers in ({}, {"Authorization": "Bearer sk-wrong"}, {"api-key": "x"}):
        answer = raw(service, "GET", path, headers)
        assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404")), answer[:200]
        assert b"small" not in answer and b"speciale_" not in answer
    assert httpx.get(service.url + "/healthz").json() == {"status": "ok"}
    assert httpx.get(service.url + "/readyz").status_code == 200


def raw(service, method, target, headers):
    """The bytes of an answer to exactly this target, which no client has tidied up."""
    with connection(service) as sock:
        lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


def connection(service):
    host, port = service.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)))
    sock.settimeout(15)
    return sock


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 200_000,
        b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 40_000,
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"BREW /pot HTCPCP/1.0\r\n\r\n",
    ],
    ids=range(7),
)
def test_heads_that_are_none_end_the_connection(service, head):
    with connection(service) as sock:
        try:
            sock.sendall(head)
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        except ConnectionError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 400"), answer[:200]
    assert httpx.get(service.url + "/healthz").is_success


def test_a_slow_head_and_a_slow_body_are_given_up(service, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    with connection(service) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        assert sock.recv(100) == b""  # closed
    with connection(service) as sock:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.secret}\r\nContent-Length: 50\r\n\r\n"  # fmt: skip  # noqa: E501
        sock.sendall(head.encode() + b'{"model"')
        assert sock.recv(100).startswith(b"HTTP/1.1 408")


def test_methods_that_are_not_for_a_path(service):
    answer = service.get("/v1/chat/completions")
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_an_empty_balance_is_402(tmp_path):
    with running(tmp_path, Scripted(), balance=0) as served:
        error = refused(served.post(), 402)
        assert error["code"] == "insufficient_balance"
        assert served.get("/user/balance").json()["is_available"] is False


def test_a_small_balance_shortens_the_answer_and_is_never_overspent(tmp_path):
    with running(tmp_path, Scripted("word " * 50), balance=0.00001) as served:  # 10,000 nano-USD
        body = served.post().json()
        assert body["choices"][0]["finish_reason"] == "length"
        assert refused(served.post(), 402)


def test_rates_and_models_of_a_key(tmp_path):
    with running(tmp_path, Scripted(), key={"requests_per_minute": 2}) as served:
        assert served.post().is_success and served.post().is_success
        answer = served.post()
        refused(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    folder = tmp_path / "other"
    folder.mkdir()
    with running(folder, Scripted(), key={"models": ["large"]}) as served:
        refused(served.post(), 404)
        assert served.get("/v1/models").json()["data"] == []


def test_without_keys_other_sites_are_refused(tmp_path):
    with running(tmp_path, Scripted(), auth=False) as served:
        url = served.url + "/v1/models"
        assert httpx.get(url).is_success
        assert httpx.get(url, headers={"Origin": served.url}).is_success
        refused(httpx.get(url, headers={"Origin": "http://evil.example"}), 403)
        refused(httpx.get(url, headers={"Host": "evil.example:80"}), 403)


def test_a_fault_is_in_the_log_and_no_text_is(tmp_path, caplog):
    script = Scripted()
    script.error = RuntimeError("broken")
    with caplog.at_level("INFO"), running(tmp_path, script) as served:
        served.post(messages=[{"role": "user", "content": "my private words"}])
        script.error = None
        served.post(messages=[{"role": "user", "content": "my private words"}])
        time.sleep(0.1)
    assert "broken" in caplog.text
    said = caplog.text + "".join(str(getattr(r, "fields", "")) for r in caplog.records)
    assert "private" not in said and served.secret not in said and "'status': 200" in said


def test_metrics_count_what_happened(service):
    before = service.get("/metrics").text
    service.post()
    after = service.get("/metrics").text
    name = 'speciale_requests_total{finish="stop",model="small",status="200"}'

    def value(page):
        lines = [line for line in page.splitlines() if line.startswith(name)]
        return float(lines[0].split()[-1]) if lines else 0.0

    assert value(after) == value(before) + 1
    assert "speciale_running_requests 0.0" in after


@pytest.mark.parametrize("stream", [False, True])
def test_no_answer_ends_without_its_row(tmp_path, stream):
    with running(tmp_path, Scripted()) as served:

        async def full(_admission, _spent):
            raise AccountsError("the disk is full")

        served.service.accounts.settle = full
        answer = served.post(stream=stream)
        if stream:
            assert "[DONE]" not in answer.text and "accounts_unavailable" in answer.text
        else:
            assert refused(answer, 503)["code"] == "accounts_unavailable"
            assert "Hello" not in answer.text
        assert served.get("/healthz").is_success


def test_a_key_that_was_revoked_a_moment_ago(tmp_path):
    with running(tmp_path, Scripted()) as served:
        assert served.post().is_success
        database = Database(served.database)
        revoke_key(database, "tester")
        database.close()
        assert refused(served.post(), 401)["code"] == "invalid_api_key"
