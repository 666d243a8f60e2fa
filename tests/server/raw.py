"""Requests that no client library would send, byte by byte."""

import socket
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode("latin-1")


def everything(sock: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    got = b""
    while part := sock.recv(65_536):
        got += part
    return got
