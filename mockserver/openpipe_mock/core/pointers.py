"""JSON pointers (RFC 6901): `/paths/~1models/get` leads to `get` below the keys `paths` and `/models`."""


def pointer_to(*steps: str | int) -> str:
    """The pointer that these steps, keys or indexes, make."""
    return "".join([f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps])


def steps_of(pointer: str) -> list[str]:
    """The steps of a pointer, indexes as texts."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
