"""Reads the key that signs allocations from its Secret, or makes it.

`keys.py` uses the key.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weft import errors, names
from weft.api import podsignature
from weft.control.cluster.keys import ADOPT, Held
from weft.kube import resources
from weft.kube.client import AlreadyExists, Client, NotFound, Object

log = logging.getLogger(__name__)

_PAUSES = (0.2, 10.0)
_KEY = "key"


class Signing:
    """Reads or makes the key. `trouble`: why there is none yet."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self.trouble = ""

    async def prepare(self, published: podsignature.TrustedKeys) -> Held:
        """Reads or makes the key; retries until the API server allows it.

        `published`: the public keys of earlier managers. If there are none, the annotations on pods
        are older than signatures.
        """
        pause, longest = _PAUSES
        while True:
            try:
                held = _load(await self._secret(is_first=not published))
            except errors.WeftError as error:
                if str(error) != self.trouble:
                    log.warning("nothing can be signed yet: %s", error.in_full())
                self.trouble = str(error)
            else:
                self.trouble = ""
                return held
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _secret(self, *, is_first: bool) -> Object:
        try:
            return await self._client.get(resources.SECRETS, names.SIGNING_KEY, self._namespace)
        except NotFound:
            pass
        signer = podsignature.Signer(Ed25519PrivateKey.generate())
        data = {_KEY: signer.secret, **({ADOPT: "true"} if is_first else {})}
        obj: dict[str, Any] = {
            "apiVersion": resources.SECRETS.api_version,
            "kind": resources.SECRETS.kind,
            "metadata": {"name": names.SIGNING_KEY, "namespace": self._namespace},
            "type": "Opaque",
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
        }
        try:
            made = await self._client.create(resources.SECRETS, obj)
        except AlreadyExists:  # another copy was faster
            return await self._client.get(resources.SECRETS, names.SIGNING_KEY, self._namespace)
        log.info("made a key to sign decisions with, %s", signer.id)
        return made


def _load(obj: Object) -> Held:
    try:
        signer = podsignature.Signer.load(_decoded(obj, _KEY))
    except ValueError:
        raise errors.InvalidInput(
            f"Secret {resources.key(obj)}",
            f"data.{_KEY}",
            None,
            "is no Ed25519 key in base64",
            hint="delete the Secret: the cluster manager makes a new one",
        ) from None
    meta = obj["metadata"]
    adopt_before = meta["creationTimestamp"] if _decoded(obj, ADOPT) else ""
    return Held(signer, meta["namespace"], adopt_before)


def _decoded(obj: Object, key: str) -> str:
    try:
        return base64.b64decode((obj.get("data") or {}).get(key) or "").decode()
    except ValueError:
        return ""
