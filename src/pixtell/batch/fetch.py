"""An address becomes bytes: the only place in the project that connects to where a user's data says.

In: an http or https address and limits. Out: what the server answers, or an `InputError`.

Lists of addresses come from strangers, and a name may lead anywhere, also into the network that this machine stands in.
So each name is resolved once, every address it resolves to is checked to be public, and the connection is made to the
address that was checked: a name that answers differently a second time gains nothing. The certificate is still
checked for the name. Each redirect begins at the first check again. Proxies of the environment are not used, nothing
but the request is sent, and what goes wrong before a public server answered is told in the same words whatever it was,
so that nobody learns from them what lies behind a firewall.

The surprising thing: `is_global` alone lets some addresses pass that lead to private ones: IPv6 forms that wrap an IPv4
address (::ffff:0:0/96, 64:ff9b::/96, 2002::/16, 2001::/32), and multicast.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from pixtell.errors import InputError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 1 << 16
_KEPT = "%/:=&?~#+!$,;'@()*[]"  # what stays as it is in a path and a query: they may be quoted already

# "Public" to `is_global`, and yet a way to other networks: NAT64, 6to4 and its relays, Teredo.
_WRAPPED = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "192.88.99.0/24", "2001::/32")
)


@dataclass(frozen=True)
class Fetching:
    """The limits of a fetch.

    `max_bytes` of one answer; `seconds` from the first look at the name to the last byte, redirects included;
    `redirects` that are followed. `networks` (such as "127.0.0.0/8") may be reached although they aren't public, and
    `ports` are those that may be connected to: for a server of one's own, and for tests.
    """

    max_bytes: int = 256 << 20
    seconds: float = 60.0
    redirects: int = 3
    networks: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)


@dataclass(frozen=True, slots=True)
class Address:
    """A place for an `Item`: the photo or clip that an address answers with."""

    url: str
    limits: Fetching = field(default=Fetching(), repr=False)

    def read(self) -> bytes:
        return fetch(self.url, self.limits)

    def stamp(self) -> tuple[int, int]:
        return 0, 0  # only the server knows whether it changed; a job that goes on keeps what was said of it


def is_address(text: str) -> bool:
    """Whether `text` is meant as an address of the web."""
    return text[:8].lower().startswith(("http://", "https://"))


def fetch(url: str, limits: Fetching) -> bytes:
    """What `url` answers, at most `limits.max_bytes`.

    Raises `InputError`: `unsupported` for an address that isn't fetched whatever the network says, `unreadable` where
    no public server answers in time, `missing` and `unreadable` for a server's refusal, `truncated`, `too_large`.
    """
    end = time.monotonic() + limits.seconds
    here = url
    for _ in range(limits.redirects + 1):
        target = _checked(here, url, limits)
        try:
            with _answer(target, limits, end) as response:
                if response.status not in _REDIRECTS:
                    return _content(response, url, limits, end)
                here = urljoin(here, response.headers.get("Location", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            # OSError: also a refused address, a name that isn't known, a certificate, a connection cut by the clock.
            if isinstance(error, http.client.IncompleteRead) and time.monotonic() < end:
                raise InputError("truncated", f"{url}: the answer breaks off before its end") from None
            raise _unreachable(url, limits) from None
    raise InputError("unreadable", f"{url}: it leads on more than {limits.redirects} times")


def _unreachable(url: str, limits: Fetching) -> InputError:
    return InputError(
        "unreadable",
        f"{url}: it can't be fetched: no server at a public address answered within {limits.seconds:g} seconds",
    )


def _checked(here: str, url: str, limits: Fetching) -> SplitResult:
    """The parts of `here`, if addresses like it are fetched at all; `url`, which led to it, is what messages name."""
    try:
        target = urlsplit(here)
        port = target.port or _PORTS.get(target.scheme)
    except ValueError:  # a port that is no number, a bracket that isn't closed
        target, port = SplitResult("", "", "", "", ""), None
    if target.scheme not in SCHEMES or not target.hostname or "@" in target.netloc or port not in limits.ports:
        ports = " and ".join(map(str, limits.ports))
        raise InputError(
            "unsupported",
            f"{url}: not an address that is fetched: those are http and https, at the ports {ports}, without a "
            "user's name in them",
        )
    return target


@contextmanager
def _answer(target: SplitResult, limits: Fetching, end: float) -> Iterator[http.client.HTTPResponse]:
    """Ask for `target`; everything is closed at the end, or when the time is over."""
    host = (target.hostname or "").encode("ascii" if _is_literal(target.hostname) else "idna").decode("ascii")
    port = target.port or _PORTS[target.scheme]
    with _connected(host, port, target.scheme == "https", limits, end) as connected:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = connected  # already open: http.client resolves and connects nothing
        shown = f"[{host}]" if ":" in host else host
        connection.request(
            "GET",
            quote(target.path or "/", safe=_KEPT) + (f"?{quote(target.query, safe=_KEPT)}" if target.query else ""),
            headers={
                "Host": shown if port == _PORTS[target.scheme] else f"{shown}:{port}",
                "User-Agent": "pixtell",
                "Accept": "image/*, video/*, */*;q=0.5",
                "Connection": "close",
            },
        )
        with connection.getresponse() as response:
            yield response


def _is_literal(host: str | None) -> bool:
    try:
        return bool(ipaddress.ip_address(host or ""))
    except ValueError:
        return False


@contextmanager
def _connected(host: str, port: int, secure: bool, limits: Fetching, end: float) -> Iterator[socket.socket]:
    """A connection to an address of `host` that was checked. Raises `OSError` where there is none."""
    connection = _first_open(_public_addresses(host, port, limits, end), port, end)
    current = [connection]
    # A server that sends a byte now and then outlives every timeout of a socket: this clock doesn't ask the socket.
    clock = threading.Timer(max(0.0, end - time.monotonic()), _cut, (current,))
    clock.daemon = True
    clock.start()
    try:
        if secure:
            wrapped = _trust().wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
            current[0] = wrapped  # before the handshake, which may be dragged out as well
            wrapped.do_handshake()
        yield current[0]
    finally:
        clock.cancel()
        current[0].close()


def _cut(current: list[socket.socket]) -> None:
    """End the wait of the thread that reads. (The method of `socket`: that of a TLS socket takes its state away.)"""
    with suppress(OSError):
        socket.socket.shutdown(current[0], socket.SHUT_RDWR)


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _first_open(addresses: list[str], port: int, end: float) -> socket.socket:
    failure: OSError = TimeoutError()
    for address in addresses:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            failure = error
    raise failure


def _public_addresses(host: str, port: int, limits: Fetching, end: float) -> list[str]:
    """All addresses that `host` resolves to. Raises `OSError` when a single one may not be reached."""
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in _resolve(host, port, end)))
    networks = [ipaddress.ip_network(network) for network in limits.networks]
    for address in addresses:
        found = ipaddress.ip_address(address)
        if not is_public(found) and not any(found in network for network in networks):
            raise OSError("not a public address")
    return addresses


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the open internet and nothing else."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    unfit = not address.is_global or address.is_multicast or address.is_reserved
    return not unfit and not any(address in network for network in _WRAPPED)


def _resolve(host: str, port: int, end: float) -> list[Any]:
    """`socket.getaddrinfo`, which knows no timeout, in a thread that is left behind when the time is over."""
    found: list[Any] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))
    if not found:
        raise OSError("the name can't be resolved")
    return list(found)


def _content(response: http.client.HTTPResponse, url: str, limits: Fetching, end: float) -> bytes:
    """The body of an answer that is no redirect."""
    if response.status != 200:
        code = "missing" if response.status in (404, 410) else "unreadable"
        raise InputError(code, f"{url}: the server answered {response.status}")
    too_large = InputError("too_large", f"{url}: it is larger than the limit of {limits.max_bytes:,} bytes")
    if (response.length or 0) > limits.max_bytes:
        raise too_large
    content = bytearray()
    while piece := response.read1(_PIECE):
        content += piece
        if len(content) > limits.max_bytes:
            raise too_large
    if time.monotonic() >= end:  # cut by the clock; without a promised length it would pass for the end
        raise TimeoutError
    if response.length:  # bytes that were promised and have not come
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(content)
