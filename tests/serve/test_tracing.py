"""Spans reach a collector, and hold no text."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from test_serve_command import Served


def test_spans_reach_a_collector(tmp_path):
    got, arrived = [], threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_):
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Served(tmp_path, **settings) as served:
        assert served.post(messages=[{"role": "user", "content": "private words"}]).is_success
        assert arrived.wait(20)
    collector.shutdown()
    collector.server_close()
    path, body = got[0]
    assert path == "/v1/traces" and b"/v1/chat/completions" in body and b"speciale" in body
    assert b"private" not in body and served.secret.encode() not in body
