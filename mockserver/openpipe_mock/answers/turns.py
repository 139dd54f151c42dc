"""Reads where a conversation stands: what its user asked last, and which tools were answered since then."""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from openpipe_mock.answers.texts import said

Message = Mapping[str, Any]
RESULTS = ("tool", "function")
"""Roles of messages that carry the result of a call."""

_TASK, _CALLING = "New task:\n", "Calling tools:\n"
_SECTION = re.compile(r"^(New task|Observation|Error):\n", re.MULTILINE)
_CALLED = re.compile(r"'function': \{'name': '([^']+)'")
_FAILED = re.compile(r"Error executing tool '([^']+)'")
"""How smolagents writes tasks, calls and results into the texts of user and assistant messages."""


class Turn:
    """The last turn of a conversation whose messages are valid.

    `text`: what the user asked; without a user text, the last text that is no result. `answered`: the names
    of the tools whose results came since, as the keys of a dict, the newest last. `has_stray`: a result came
    that belongs to no call.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self.text = ""
        self.answered: dict[str, None] = {}
        self.has_stray = False
        self._asked = False
        self._behind_result = False
        """Whether a result came, and no text of the assistant since."""
        self._calls: dict[str, str] = {}
        """The names of the called tools by the calls' ids."""
        self._spelled = False
        self._spelled_calls: list[str] = []
        for message in messages:
            self._read(message)

    @property
    def is_fresh(self) -> bool:
        """Whether no result came since the text."""
        return not self.answered and not self.has_stray

    def has_answered(self, name: str) -> bool:
        """Whether a tool was answered. A result that belongs to no call counts for every tool."""
        return self.has_stray or name in self.answered

    def _read(self, message: Message) -> None:
        role = message["role"]
        if role in RESULTS:
            self._answer(self._calls.get(message.get("tool_call_id", ""), message.get("name")))
            return
        text = said(message)
        self._spelled = self._spelled or (role == "user" and text.startswith(_TASK))
        if role == "user" and self._spelled and _SECTION.match(text):
            self._read_sections(text)
        elif role == "assistant" and text.startswith(_CALLING):
            self._spelled_calls = _CALLED.findall(text)
        elif text:
            self._read_text(role, text)
        for call in message.get("tool_calls") or ():
            self._calls[call["id"]] = call.get("function", {}).get("name", "")

    def _read_text(self, role: str, text: str) -> None:
        # A user text right behind a result belongs to it: so clients send the images that a tool returns.
        if role == "user" and not self._behind_result:
            self._begin(text)
        elif not self._asked:
            self.text = text
        if role == "assistant":
            self._behind_result = False

    def _read_sections(self, text: str) -> None:
        """Read a user message of smolagents, which joins results and tasks."""
        _, *parts = _SECTION.split(text)
        for title, content in zip(parts[::2], parts[1::2], strict=True):
            if title == "New task":
                self._begin(content)
            for name in self._spelled_calls if title == "Observation" else _FAILED.findall(content):
                self._answer(name)

    def _begin(self, text: str) -> None:
        self.text, self.answered, self.has_stray = text, {}, False
        self._asked, self._behind_result = True, False

    def _answer(self, name: str | None) -> None:
        if name is None:
            self.has_stray = True
        else:
            self.answered.pop(name, None)
            self.answered[name] = None
        self._behind_result = True


def newest_results(messages: Sequence[Message]) -> list[Message]:
    """Return the results that came since the assistant's last message, the newest first."""
    since = takewhile(lambda message: message["role"] != "assistant", reversed(messages))
    return [message for message in since if message["role"] in RESULTS]
