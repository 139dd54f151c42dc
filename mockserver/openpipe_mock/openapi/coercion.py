"""Numbers and booleans as the service's own runtime writes them."""

import re
from decimal import Decimal


def text(value: int | float) -> str:
    """A number or boolean as JavaScript's `String()` writes it: `true`, `1`, `1.5`, `1e+21`, `1e-7`."""
    if isinstance(value, bool):
        return str(value).lower()
    number = float(value)
    if 1e-6 <= abs(number) < 1e21:
        return format(Decimal(repr(number)), "f").removesuffix(".0")
    return re.sub(r"e([+-])0", r"e\1", repr(number)) if number else "0"
