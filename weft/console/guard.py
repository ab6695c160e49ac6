"""Decides which requests a browser may send to the console, and what its answers may do.

Pure. Other users of the machine, and pages of other sites in the viewer's browser, are the enemy:
the Host header stops DNS rebinding, Origin and Sec-Fetch-Site stop foreign pages, and the content
security policy stops markup that came in with an object's name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

SAFE = frozenset({"GET", "HEAD"})
# No inline script and no eval. `data:` serves small pictures in the style sheet.
_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
# With no-referrer a form of our own would come with "Origin: null".
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

INLINE_STYLES = "; style-src 'self' 'unsafe-inline'"  # added to the policy; scripts stay strict


@dataclass(frozen=True, slots=True)
class Site:
    """The console's own addresses: `hosts` as the Host header has them, with ports."""

    scheme: str
    hosts: frozenset[str]

    def origins(self) -> frozenset[str]:
        return frozenset(f"{self.scheme}://{host}" for host in self.hosts)


def site(scheme: str, port: int, names: tuple[str, ...]) -> Site:
    """The site that is reached on `port` under these names; addresses of IPv6 in brackets."""
    usual = {"https": 443, "http": 80}[scheme]
    bracketed = [f"[{name}]" if ":" in name else name.lower() for name in names]
    hosts = {f"{name}:{port}" for name in bracketed}
    return Site(scheme, frozenset(hosts | (set(bracketed) if port == usual else set())))


def is_own_host(own: Site, headers: Mapping[str, str]) -> bool:
    """Whether the browser meant this console, and no name that was made to lead to it."""
    return headers.get("Host", "").lower() in own.hosts


def is_from_own_page(own: Site, headers: Mapping[str, str]) -> bool:
    """Whether a page of this console sent the request: for writes, streams and WebSockets.

    Browsers send Origin with each write and WebSocket, and Sec-Fetch-Site with all requests. One
    that sends neither proves nothing, and is refused.
    """
    origin, fetched = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin is not None and origin.lower() not in own.origins():
        return False
    if fetched is not None and fetched != "same-origin":
        return False
    return origin is not None or fetched is not None


def is_led_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site's page embeds this, or fetches it; links from there are no harm."""
    fetched = headers.get("Sec-Fetch-Site", "none")
    is_link = headers.get("Sec-Fetch-Mode") == "navigate"
    return fetched not in ("same-origin", "none") and not is_link


def is_led_by_own(headers: Mapping[str, str], *, by_page: bool = False) -> bool:
    """Whether this console's page or the viewer asked for a page: another site's link to it, or
    that of another port of the host, starts no job.

    With `by_page` only a page of this console counts: an address that the viewer opened may have
    come in a mail.
    """
    ways = ("same-origin",) if by_page else ("same-origin", "none")
    return headers.get("Sec-Fetch-Site") in ways


def form_token(key: bytes, session: str) -> str:
    """What each form of a session carries, and no other site can know."""
    return hmac.new(key, b"form " + session.encode(), hashlib.sha256).hexdigest()


def is_form_token(key: bytes, session: str, given: str) -> bool:
    return hmac.compare_digest(form_token(key, session).encode(), given.encode())
