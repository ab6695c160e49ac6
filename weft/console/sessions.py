"""Makes and reads the cookie that lets a browser in; nothing about sessions is kept here.

The cookie is sealed with a key that lives as long as the process: it holds the viewer's token, or
no token for the console of the user who started it. Who started it enters by a link with a secret
that is good for one browser.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken

LIFETIME = 12 * 3600  # seconds
LONGEST_TOKEN = 2800  # bytes; browsers keep cookies of at most 4096, and sealing adds a third


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that was let in. An empty token: it uses the credentials of the console's user."""

    id: str
    token: str = field(default="", repr=False)


class Seal:
    """Seals sessions into cookies, and opens them."""

    def __init__(self, *, is_login: bool) -> None:
        self._fernet = Fernet(Fernet.generate_key())
        self._is_login = is_login
        self.key = secrets.token_bytes(32)  # of the forms

    def close(self, token: str = "") -> str:
        """The cookie of a new session."""
        content = {"id": secrets.token_urlsafe(16), "token": token}
        return self._fernet.encrypt(json.dumps(content).encode()).decode()

    def open(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it is forged, older than LIFETIME, or of another way
        in."""
        try:
            found = json.loads(self._fernet.decrypt(cookie.encode(), ttl=LIFETIME))
        except (InvalidToken, ValueError):
            return None
        if bool(found["token"]) != self._is_login:
            return None
        return Session(found["id"], found["token"])


class Links:
    """The link by which the console's user enters: good once, then there is another one."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._secret = ""
        self.renew()

    def renew(self) -> None:
        """Make a new secret and announce it."""
        self._secret = secrets.token_urlsafe(32)
        self._announce(self._secret)

    def spend(self, given: str) -> bool:
        """Whether this is the secret; it is good no more, and the next one is announced."""
        if not hmac.compare_digest(self._secret.encode(), given.encode()):
            return False
        self.renew()
        return True
