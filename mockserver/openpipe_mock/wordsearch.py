"""Looking for several words in a text at once, quickly: every request's body is searched so."""

import re
from collections.abc import Callable

import jsonschema_rs


def lacking(*words: str) -> Callable[[str], bool]:
    """Whether a text has none of these words in it. Rust's engine finds many at once, and that in no time."""
    pattern = {"type": "string", "not": {"pattern": "|".join(map(re.escape, words))}}
    return jsonschema_rs.validator_for(pattern, pattern_options=jsonschema_rs.RegexOptions()).is_valid
