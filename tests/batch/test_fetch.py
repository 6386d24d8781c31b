"""Fetching: only public addresses, checked and pinned; every server here stands on the loopback interface."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pixtell.batch import fetch as module
from pixtell.batch.fetch import Address, Fetching, fetch, is_public
from pixtell.errors import InputError

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 300
REQUESTS: list[tuple[str, dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers by path; remembers what it was asked."""

    def do_GET(self) -> None:
        REQUESTS.append((self.path, dict(self.headers)))
        where = self.path.partition("?")[0]
        if where.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", where.removeprefix("/to/"))
            self.end_headers()
        elif where.startswith("/loop"):
            self.send_response(302)
            self.send_header("Location", f"/loop{int(where[5:]) - 1}" if where != "/loop0" else "/photo")
            self.end_headers()
        elif where == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif where == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(1 << 16))
        elif where in ("/photo", "/short", "/caf%C3%A9%20x"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(PHOTO) + (where == "/short")))
            self.end_headers()
            self.wfile.write(PHOTO)
        else:
            self.send_error(404 if where == "/none" else 503)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass  # a client that has seen enough hangs up


@pytest.fixture
def server() -> Iterator[str]:
    REQUESTS.clear()
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def open_to(url: str, **changes: object) -> Fetching:
    port = int(url.split(":")[2].partition("/")[0])
    return replace(Fetching(networks=("127.0.0.0/8",), ports=(80, 443, port), seconds=5.0), **changes)  # type: ignore[arg-type]


def refused(url: str, limits: Fetching) -> InputError:
    with pytest.raises(InputError) as caught:
        fetch(url, limits)
    assert str(caught.value).startswith(f"{url}: ") and "\n" not in str(caught.value)
    return caught.value


def test_a_photo_is_fetched_and_little_is_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # would be a refused connection
    assert Address(f"{server}/photo?a=1&b=%20", open_to(server)).read() == PHOTO
    ((path, headers),) = REQUESTS
    assert path == "/photo?a=1&b=%20" and headers["Host"] == server.removeprefix("http://")
    assert set(headers) == {"Host", "User-Agent", "Accept", "Connection", "Accept-Encoding"}
    assert fetch(f"{server}/café x", open_to(server)) == PHOTO


def test_a_name_is_resolved_once_and_connected_to_what_was_checked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers with a public address first and a private one then (rebinding) is asked only once."""
    asked: list[str] = []

    def answer(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    connected: list[str] = []
    connect = socket.create_connection
    monkeypatch.setattr(module, "_resolve", answer_of(answer))
    monkeypatch.setattr(
        socket, "create_connection", lambda address, **k: (connected.append(address[0]), connect(address, **k))[1]
    )
    url = f"{server.replace('127.0.0.1', 'photos.example')}/photo"
    assert fetch(url, open_to(url)) == PHOTO
    assert asked == ["photos.example"] and connected == ["127.0.0.1"]
    assert REQUESTS[0][1]["Host"] == url.split("/")[2]


def answer_of(answer: Callable[..., list[tuple[object, ...]]]) -> Callable[..., list[tuple[object, ...]]]:
    return lambda host, port, end: answer(host, port)


LOCAL = ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "0.0.0.0")


@pytest.mark.parametrize(
    "host", [*LOCAL, "[::1]", "localhost.", "169.254.169.254", "10.0.0.1", "[fe80::1]", "[fd00::1]"]
)
def test_no_form_of_a_private_address_is_connected_to(host: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", never)
    url = f"http://{host}:{server.split(':')[2]}/photo"
    error = refused(url, replace(open_to(server), networks=(), seconds=3.0))
    assert error.code == "unreadable" and "no server at a public address answered" in str(error)


def test_one_private_address_among_public_ones_is_enough(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(0, 0, 0, "", ("93.184.215.14", 80)), (0, 0, 0, "", ("10.1.2.3", 80))]
    monkeypatch.setattr(module, "_resolve", lambda *_: both)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))
    assert refused("http://mixed.example/", Fetching()).code == "unreadable"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        ("::ffff:93.184.215.14", True),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
        ("192.88.99.1", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("100.64.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::7f00:1", False),
        ("192.168.1.1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1/a.jpg",
        "http://user:word@example.org/",
        "http://example.org:22/",
        "ftp://example.org/a.jpg",
        "file:///etc/passwd",
        "http:///a.jpg",
        "http://[::1/",
        "http://example.org:port/",
    ],
)
def test_addresses_that_are_not_even_looked_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    assert refused(url, Fetching()).code == "unsupported"


def test_redirects_are_checked_again_and_counted(server: str) -> None:
    limits = open_to(server)
    assert fetch(f"{server}/to/{server}/photo", limits) == PHOTO
    assert fetch(f"{server}/loop2", limits) == PHOTO
    assert "more than 3 times" in str(refused(f"{server}/loop3", limits))
    assert refused(f"{server}/to/file:///etc/passwd", limits).code == "unsupported"
    assert refused(f"{server}/to/http://[::1]:{server.split(':')[2]}/photo", limits).code == "unreadable"
    assert refused(f"{server}/to/http://127.0.0.1:1/photo", limits).code == "unsupported"


def test_bytes_and_time_have_an_end(server: str) -> None:
    assert refused(f"{server}/photo", open_to(server, max_bytes=len(PHOTO) - 1)).code == "too_large"
    assert fetch(f"{server}/photo", open_to(server, max_bytes=len(PHOTO))) == PHOTO
    assert refused(f"{server}/endless", open_to(server, max_bytes=1_000_000)).code == "too_large"
    start = time.monotonic()
    assert refused(f"{server}/drip", open_to(server, seconds=0.4)).code == "unreadable"
    assert time.monotonic() - start < 2.0


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x03\x40\x00" + bytes(100)], ids=["silent", "a byte now and then"])
def test_a_server_that_never_ends_the_handshake(sent: bytes) -> None:
    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            for byte in sent:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
            connection.recv(1 << 16)
            time.sleep(3.0)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        start = time.monotonic()
        assert refused(url, open_to(url, seconds=0.3)).code == "unreadable"
        assert time.monotonic() - start < 2.0


def test_refusals_of_the_server(server: str) -> None:
    limits = open_to(server)
    assert refused(f"{server}/none", limits).code == "missing"
    assert "the server answered 503" in str(refused(f"{server}/busy", limits))
    assert refused(f"{server}/short", limits).code == "truncated"


def test_what_is_behind_a_refusal_is_not_told(server: str) -> None:
    """A closed port, a private address and a name that isn't known give the same words."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    limits = open_to(server, ports=(80, port))
    urls = (f"http://127.0.0.1:{port}/", "http://10.0.0.1/", "http://" + "x" * 70 + ".example/")
    assert len({str(refused(url, limits)).removeprefix(url) for url in urls}) == 1
