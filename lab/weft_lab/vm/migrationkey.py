"""Keeps the key by which the nodes' handlers know each other: a Secret that nodes alone read."""

from __future__ import annotations

import base64
import binascii
import secrets

from weft import errors
from weft.kube import resources
from weft.kube.client import AlreadyExists, Client, NotFound

NAMESPACE, NAME, FIELD = "kube-system", "virt-handler-migration", "key"
_LENGTH = 32  # bytes


async def make(client: Client) -> None:
    """Write a key of chance, unless there is one."""
    try:
        await client.get(resources.SECRETS, NAME, NAMESPACE)
        return
    except NotFound:
        pass
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {FIELD: base64.b64encode(secrets.token_bytes(_LENGTH)).decode()},
    }
    try:
        await client.create(resources.SECRETS, secret)
    except AlreadyExists:
        pass


async def read(client: Client) -> bytes:
    """The key. Raises NotReady until it is there, and where it is none."""
    where = f"Secret {NAMESPACE}/{NAME}"
    try:
        secret = await client.get(resources.SECRETS, NAME, NAMESPACE)
        key = base64.b64decode((secret.get("data") or {}).get(FIELD) or "", validate=True)
    except (NotFound, binascii.Error) as error:
        raise errors.NotReady("the lab's migration key is missing", where=where) from error
    if len(key) < _LENGTH:
        raise errors.NotReady(
            "holds no key", where=where, hint="delete it: the controllers make another at start"
        )
    return key
