"""Tokens: who may ask for whose memory. A small JSON file beside the database, readable by its owner alone.

Knows no HTTP. A token is bound to one person, or it is an admin's, who may name any. The file holds hashes:
whoever reads it cannot use what is in it.
"""

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from mnemon.errors import StoreError, UsageError

PREFIX = "mn_"  # says what it is where it turns up by mistake, and tells it from other keys
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Token:
    """What is known of a token; its secret is shown once, when it is made. `user` None: an admin's."""

    id: str
    user: str | None
    note: str
    created_at: str
    sha256: str

    @property
    def is_admin(self) -> bool:
        return self.user is None


def digest(secret: str) -> str:
    """A plain SHA-256, on purpose. Slow hashes protect words that people choose: 256 random bits cannot be
    guessed at any speed, and a slow hash would let anybody busy the server with wrong tokens."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class TokenFile:
    """The tokens of one database. Changes by other processes are seen at once, a revoked token included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(f"{path}.lock", timeout=10)
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    @classmethod
    def beside(cls, db: str, *, home: Path) -> "TokenFile":
        """The file for a database: next to a file, in the home for one that is elsewhere or in memory."""
        scheme, found, rest = db.partition("://")
        if db == ":memory:" or (found and scheme != "sqlite"):
            return cls(home / "tokens.json")
        place = rest.removeprefix("/") if found else db
        return cls(Path(f"{Path(place).expanduser()}.tokens.json") if place else home / "tokens.json")

    def new(self, user: str | None, *, note: str = "") -> tuple[Token, str]:
        """Make a token; gives what is kept of it, and the secret, which is kept nowhere."""
        if user is not None and not user.strip():
            raise UsageError("The token names nobody.", hint="Say whose it is: mnemon token new --user ana")
        secret = PREFIX + secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(4),
            user=user,
            note=note,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            sha256=digest(secret),
        )
        with self._changing():
            self._write([*self.all(), token])
        return token, secret

    def all(self) -> tuple[Token, ...]:
        """Every token, oldest first."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._tokens = None, ()
            return ()
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            if os.name != "nt" and stat.S_IMODE(status.st_mode) & 0o077:
                raise StoreError(
                    f"The tokens in {str(self.path)!r} may be read or changed by others.",
                    hint=f"Close the file to them: chmod 600 {self.path}",
                )
            self._tokens, self._seen = _read(self.path), seen
        return self._tokens

    def find(self, secret: str) -> Token | None:
        """The token of this secret. Takes as long whether or not there is one."""
        given, found = digest(secret), None
        for token in self.all():
            if hmac.compare_digest(given, token.sha256):
                found = token
        return found

    def revoke(self, id_: str) -> Token:
        """Take one token out; a server that runs refuses it from the next request on."""
        with self._changing():
            tokens = self.all()
            gone = next((token for token in tokens if token.id == id_), None)
            if gone is None:
                raise UsageError(f"There is no token {id_!r}.", hint="`mnemon token list` lists them.")
            self._write([token for token in tokens if token is not gone])
        return gone

    def forget(self, user: str) -> None:
        """Take out every token of a person who is erased: it holds their name."""
        if any(token.user == user for token in self.all()):
            with self._changing():
                self._write([token for token in self.all() if token.user != user])

    def _changing(self) -> FileLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)  # as the database does
        except OSError as e:
            raise StoreError(f"{str(self.path.parent)!r} cannot keep tokens: {e.strerror}.") from e
        return self._lock

    def _write(self, tokens: Sequence[Token]) -> None:
        """Whole or not at all, and nobody else's to read at any moment."""
        body = json.dumps({"version": _VERSION, "tokens": [asdict(token) for token in tokens]}, indent=1)
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as e:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"{str(self.path)!r} cannot be written: {e.strerror}.") from e


def _read(path: Path) -> tuple[Token, ...]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["version"] != _VERSION:
            raise StoreError(
                f"{str(path)!r} is of version {body['version']!r}, this mnemon reads {_VERSION}.",
                hint="Upgrade mnemon: pip install --upgrade mnemon",
            )
        return tuple(Token(**entry) for entry in body["tokens"])
    except (ValueError, TypeError, KeyError) as e:
        raise StoreError(
            f"{str(path)!r} is not a file of tokens: {e}", hint="Remove it and make the tokens anew."
        ) from e
    except OSError as e:
        raise StoreError(f"{str(path)!r} cannot be read: {e.strerror}.") from e
