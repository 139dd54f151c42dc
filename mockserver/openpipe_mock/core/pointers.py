"""JSON pointers (RFC 6901): `/paths/~1models/get` leads to `get` below the keys `paths` and `/models`."""


def pointer_to(*steps: str | int) -> str:
    """The pointer that these steps, keys or indexes, make."""
    return "".join([f"/{pointer_step(step)}" for step in steps])


def pointer_step(step: str | int) -> str:
    """A step as pointers write it: `~1models` for the key `/models`."""
    return str(step).replace("~", "~0").replace("/", "~1")


def steps_of(pointer: str) -> list[str]:
    """The steps of a pointer, indexes as texts."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
