"""The environment variables that lead the official clients to a mock."""

from openpipe_mock.config.settings import Settings

_KEY = "op-local"
"""The key that is suggested where any is accepted."""
_ONE_OF_YOURS = "'<one of auth.keys>'"
"""What is suggested in its place where the config names keys, which are shown nowhere."""

PREFIXES = (
    "The official client sends models without openpipe:, openai:, anthropic: or gemini: in front to OpenAI; "
    "OPENAI_BASE_URL keeps those here too."
)


def exports(base_url: str, settings: Settings) -> dict[str, str]:
    """The variables and their values. `base_url` ends in `/api/v1`."""
    key = _ONE_OF_YOURS if settings.keys else _KEY
    return {
        "OPENPIPE_BASE_URL": base_url,
        "OPENPIPE_API_KEY": key,
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": key,
    }
