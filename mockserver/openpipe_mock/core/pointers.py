"""JSON pointers (RFC 6901): `/paths/~1models/get` leads to `get` below the keys `paths` and `/models`."""

from typing import Any

_DEEPEST = 100
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


def pointer_to(*steps: str | int) -> str:
    """The pointer that these steps, keys or indexes, make."""
    return "".join([f"/{pointer_step(step)}" for step in steps])


def pointer_step(step: str | int) -> str:
    """A step as pointers write it: `~1models` for the key `/models`."""
    return str(step).replace("~", "~0").replace("/", "~1")


def steps_of(pointer: str) -> list[str]:
    """The steps of a pointer, indexes as texts."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def gather_types(value: Any, found: dict[str, set[str]], pointer: str = "", most: int = 10**6) -> None:
    """Add to `found` the types of all values in a JSON value, by pointers with `*` for any index.

    `most`: how many pointers are kept. Values below 100 levels are left out.
    """
    if pointer.count("/") > _DEEPEST:
        return
    if pointer in found or len(found) < most:
        found.setdefault(pointer, set()).add(_TYPES.get(type(value), "number"))
    if isinstance(value, dict):
        for name, member in value.items():
            gather_types(member, found, f"{pointer}/{pointer_step(name)}", most)
    elif isinstance(value, list):
        for item in value:
            gather_types(item, found, f"{pointer}/*", most)
