"""The harness itself: it must notice what goes wrong in the proxy it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proxy.demo.processes import ProgramFailed
from proxy.settings import load
from tests.integration.proxy_under_test import ProxyUnderTest, Setting

ANSWERS = """
import sys, tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'x_total{a="1",b="2"} 3\\nx_total{a="1",b="4"} 5\\n')

settings = tomllib.loads(Path(sys.argv[1]).read_text())
port = int(settings["admin"]["listen"].rpartition(":")[2])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
COMPLAINS = "import sys; print('Traceback (most recent call last):', flush=True)\n" + ANSWERS
DIES = "raise SystemExit('no such luck')"
IS_DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ANSWERS


def fake(folder: Path, program: str, **group: Setting) -> ProxyUnderTest:
    """Put a small program in the place of the proxy."""
    return ProxyUnderTest(
        folder,
        ["127.0.0.1:1"],
        auth_user="joe",
        auth_password='se"cret',
        group=group,
        command=(sys.executable, "-c", program),
    )


def test_configuration_is_written_as_asked(tmp_path: Path) -> None:
    users: dict[str, Setting] = {"ann": {"password": "x"}}
    proxy = fake(tmp_path, DIES, cache=False, query_wait_timeout="3s", users=users)
    app = load(proxy.file, {}).server_groups["app"]
    assert (app.listen.port, app.cache, app.query_wait_timeout) == (proxy.port, False, 3.0)
    assert app.auth_password is not None
    assert app.auth_password.get_secret_value() == 'se"cret'
    assert list(app.users) == ["ann"]


def test_ready_proxy_is_asked_over_http_and_stopped(tmp_path: Path) -> None:
    with fake(tmp_path, ANSWERS) as proxy:
        assert proxy.metric("x_total", a="1") == 8
        assert proxy.metric("x_total", b="4") == 5
    assert proxy.process.poll() is not None


def test_traceback_in_the_log_fails_the_test(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Traceback"), fake(tmp_path, COMPLAINS):
        pass


def test_proxy_that_ends_at_start_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="no such luck"), fake(tmp_path, DIES):
        pass


def test_proxy_that_does_not_stop_is_killed_and_told(tmp_path: Path) -> None:
    proxy = fake(tmp_path, IS_DEAF)
    proxy.start()
    with pytest.raises(ProgramFailed, match="did not stop"):
        proxy.stop(timeout=0.2)
    assert proxy.process.poll() is not None
