"""Makes and reads the cookie that lets a browser in.

Of sessions it keeps those that were logged out alone, until their cookies are too old.

The cookie is sealed with a key that lives as long as the process: it holds the viewer's token, or
no token for the console of the user who started it. Who started it enters by a link with a secret
that is good for one browser.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken

LIFETIME = 12 * 3600  # seconds
MOST_LOGGED_OUT = 10_000  # sessions; then the first is forgotten
NOTICE_LIFETIME = 60  # seconds between an action and the page that says what it did
LONGEST_TOKEN = 2800  # bytes; browsers keep cookies of at most 4096, and sealing adds a third


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that was let in. An empty token: it uses the credentials of the console's user.

    `ends`: when its cookie is too old, in seconds since the epoch.
    """

    id: str
    token: str = field(default="", repr=False)
    ends: float = 0.0


class Seal:
    """Seals sessions into cookies, and opens them."""

    def __init__(self, *, is_login: bool) -> None:
        self._fernet = Fernet(Fernet.generate_key())
        self._is_login = is_login
        self.key = secrets.token_bytes(32)  # of the forms
        self._logged_out: dict[str, float] = {}  # until when, by id
        self._open: dict[str, set[asyncio.Timeout]] = {}  # what lasts, by id

    def close(self, token: str = "") -> str:
        """The cookie of a new session."""
        content = {"id": secrets.token_urlsafe(16), "token": token}
        return self._fernet.encrypt(json.dumps(content).encode()).decode()

    def open(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it is forged, older than LIFETIME, of another way in,
        logged out, or a notice."""
        try:
            found = json.loads(self._fernet.decrypt(cookie.encode(), ttl=LIFETIME))
        except (InvalidToken, ValueError):
            return None
        if "token" not in found:
            return None
        if bool(found["token"]) != self._is_login or found["id"] in self._logged_out:
            return None
        ends = self._fernet.extract_timestamp(cookie.encode()) + LIFETIME
        return Session(found["id"], found["token"], ends)

    def note(self, session: Session, path: str, sentence: str) -> str:
        """A cookie that tells the session's next look at a page what an action did."""
        content = {"note": sentence, "path": path, "id": session.id}
        return self._fernet.encrypt(json.dumps(content).encode()).decode()

    def notice_of(self, session: Session, path: str, cookie: str) -> str:
        """The sentence of such a cookie; "" if it is forged, old, or for another page or session.
        Other ports of the host set cookies, too."""
        try:
            found = json.loads(self._fernet.decrypt(cookie.encode(), ttl=NOTICE_LIFETIME))
        except (InvalidToken, ValueError):
            return ""
        is_its = (found.get("id"), found.get("path")) == (session.id, path)
        return str(found.get("note", "")) if is_its else ""

    def log_out(self, session: Session) -> None:
        """Refuse the session's cookie from now on, and end what it has open."""
        now = time.time()
        kept = [each for each in self._logged_out.items() if each[1] > now]
        self._logged_out = dict(kept[1 - MOST_LOGGED_OUT :])
        self._logged_out[session.id] = session.ends
        for limit in self._open.get(session.id, ()):
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def lasting(self, session: Session, longest: float) -> AsyncIterator[asyncio.Timeout]:
        """Leave the block after `longest` seconds, and when the session ends. The timeout has
        expired then."""
        opened = self._open.setdefault(session.id, set())
        seconds = 0.0 if session.id in self._logged_out else session.ends - time.time()
        limit = asyncio.timeout(min(longest, seconds))
        opened.add(limit)
        try:
            async with limit:
                yield limit
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            opened.discard(limit)
            if not opened and self._open.get(session.id) is opened:
                del self._open[session.id]


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
