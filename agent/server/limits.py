"""How much the server takes on. One frozen object; everything else asks it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Beyond a limit a request is refused with what to do about it; nothing waits without an end."""

    at_once: int = 8  # replies that are being written
    waiting: int = 256  # replies that wait for their turn, all persons together
    waiting_each: int = 64  # and of one person, so that nobody fills the queue alone
    requests: int = 1_000  # requests of any kind that are in progress
    body_bytes: int = 8 << 20
    import_bytes: int = 1 << 30  # an export that is taken in
    header_seconds: float = 10.0  # from the first byte of a request to the end of its headers
    body_seconds: float = 30.0  # for the whole body
    import_seconds: float = 600.0
    memory_seconds: float = 120.0  # for an answer of `/api`; then it is refused, though it may still be done
    reply_seconds: float = 600.0  # then a reply ends where it stands, and is kept
    reply_tokens: int = 4_096
    grace_seconds: float = 30.0  # that replies may take to end when the server is stopped
    quiet_seconds: float = 300.0  # after which a person's conversation counts as over and is tidied up
