"""Serves a mock that knows the models and criteria which the provider's own tests name, and no other.

`provider_server.py --ready-file=FILE`; whatever else `openpipe-mock serve` is given counts for nothing.
"""

import sys
from pathlib import Path

from mockserver.config import Declared, Settings
from mockserver.serve import Listener, serve

KNOWN_MODELS = (
    "gpt-4o",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini",
    "o1",
    "openai:gpt-4o",
    "anthropic:claude-3-5-sonnet-20241022",
    "gemini:gemini-1.5-flash-002",
    "openpipe:llama-3-1-8b-content",
    "openpipe:test-content-35",
    "openpipe:test-content-4o-mini",
    "openpipe:tool-calls-test",
)

CRITERIA = {
    "highlight-format": Declared(),
    "juicebox-relevance": Declared((1, 2)),
    "reward-v1": Declared(usage=120),
}
DELAYS = {"openpipe:tool-calls-test": 0.2, "gpt-4o-2024-08-06": 0.2}
"""Seconds; the tests with a timeout have one of a tenth of a second."""

KEYS = ("op-provider-0", "op-provider-1", "op-provider-2")
OPENAI_KEY = "sk-provider"
"""Another key than the project's: the log of a project doesn't hold what goes to OpenAI."""
OUR_KEYS = ("op-openpipe", "op-node", "sk-elsewhere")
"""Of our own scenes that need a mock with few models."""


def main(arguments: list[str]) -> None:
    [ready_file] = [word.partition("=")[2] for word in arguments if word.startswith("--ready-file=")]
    keys = (*KEYS, OPENAI_KEY, *OUR_KEYS)
    settings = Settings(known_models=KNOWN_MODELS, criteria=CRITERIA, delays=DELAYS, keys=keys)
    serve(settings, Listener(port=0, ready_file=Path(ready_file), quiet=True))


if __name__ == "__main__":
    main(sys.argv[1:])
