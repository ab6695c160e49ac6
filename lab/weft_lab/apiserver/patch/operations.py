"""RFC 6902: a list of operations, carried out one by one, within a budget.

A `copy` of an object into itself doubles it, so a few of them would use all memory. This counts the
bytes before each copy; the limits are those of the reference server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer
import orjson

from weft.decode import jsontext
from weft.decode.budget import Budget
from weft_lab.apiserver import status

MOST = 10_000


def apply(obj: Any, operations: Sequence[Mapping[str, Any]], budget: Budget) -> Any:
    """The patched value; `obj` is changed. `budget` is for all copies together.

    Raises what the libraries raise for operations that are malformed or do not fit, Exceeded
    for copies that are too deep, and ApiError for too many operations or copies.
    """
    if len(operations) > MOST:
        why = f"The allowed maximum operations in a JSON patch is {MOST}, got {len(operations)}"
        raise status.too_large(why)
    copied = values = 0
    for one in operations:
        if one.get("op") == "copy" and isinstance(one.get("from"), str):
            source = jsonpointer.resolve_pointer(obj, one["from"])
            values += jsontext.measure(source, budget).values
            copied += len(orjson.dumps(source))
            if copied > budget.size or values > budget.values:
                raise status.too_large(
                    "the copy operations of the patch would add more than"
                    f" {budget.size} bytes or {budget.values} values"
                )
        obj = jsonpatch.JsonPatch([one]).apply(obj, in_place=True)
    return obj
