"""The console of a demo, as somebody with its address finds it."""

from __future__ import annotations

import http.cookiejar
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from lab.tests.support.labs import ROOT
from tests.support.patience import PATIENCE


@contextmanager
def demo(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A demo that has ended and serves its console: its process, what it wrote, and the link."""
    process = subprocess.Popen(
        [sys.executable, "-m", "weft.cli.main", "demo", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Open "):
                break
        yield process, "".join(lines), lines[-1].removeprefix("Open ").strip() if lines else ""
    finally:
        process.kill()
        process.communicate()


def entered(link: str, path: str) -> str:
    """A page of the console, for the browser that the link lets in."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
    base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    for each in (link, base + path):
        with opener.open(each, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
    return text


def is_served(link: str) -> bool:
    """Whether anybody answers there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(link, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, ConnectionError):  # it may end while it is asked
        return False
    return True
