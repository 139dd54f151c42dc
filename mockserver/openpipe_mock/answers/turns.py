"""Reads where a conversation stands: what its user asked last, and which tools were answered since then."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openpipe_mock.answers.texts import said
from openpipe_mock.openapi.roles import RESULTS

Message = Mapping[str, Any]
_TASK, _CALLING = "New task:\n", "Calling tools:\n"
_SECTION = re.compile(r"^(New task|Observation|Error):\n", re.MULTILINE)
_CALLED = re.compile(r"'function': \{'name': '([^']+)'")
_FAILED = re.compile(r"Error executing tool '([^']+)'")
"""How smolagents writes tasks, calls and results into the texts of user and assistant messages."""


class Turn:
    """The last turn of a conversation whose messages are valid.

    `text`: what the user asked; without a user text, the last text that is no result. `answered`: the names
    of the tools whose results came since, as the keys of a dict, the newest last. `replies`: the number of
    the assistant's messages since. `has_stray`: a result came
    that belongs to no call. `newest`: the results since the assistant's last message.

    A user text right behind a result belongs to it: clients send the images of a tool so. It begins a turn
    all the same where each tool of `required` has a result, since a final tool has ended the turn then.
    """

    def __init__(self, messages: Sequence[Message], required: Iterable[str] = ()) -> None:
        self.text = ""
        self.answered: dict[str, None] = {}
        self.has_stray = False
        self.replies = 0
        self.newest: list[Message] = []
        self._required = frozenset(required)
        self._missing = len(self._required)
        """How many of them have no result."""
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
            self.newest.append(message)
            self._answer(self._calls.get(message.get("tool_call_id", ""), message.get("name")))
            return
        text = said(message)
        if role == "assistant":
            self.newest = []
            self.replies += 1
        self._spelled = self._spelled or (role == "user" and text.startswith(_TASK))
        if role == "user" and self._spelled and _SECTION.match(text):
            self._read_sections(text)
        elif role == "assistant" and text.startswith(_CALLING):
            self._spelled_calls = _CALLED.findall(text)
        elif text:
            self._read_text(role, text)
        for call in message.get("tool_calls") or ():
            self._calls[call["id"]] = call.get("function", call.get("custom", {})).get("name", "")

    def _read_text(self, role: str, text: str) -> None:
        if role == "user" and (not self._behind_result or self._is_over()):
            self._begin(text)
        elif not self._asked:
            self.text = text
        if role == "assistant":
            self._behind_result = False

    def _is_over(self) -> bool:
        return bool(self._required) and (self.has_stray or not self._missing)

    def _read_sections(self, text: str) -> None:
        """Read a user message of smolagents, which joins results and tasks."""
        _, *parts = _SECTION.split(text)
        for title, content in zip(parts[::2], parts[1::2], strict=True):
            if title == "New task":
                self._begin(content)
            elif title == "Observation":
                self._answer_all(self._spelled_calls)
                self._spelled_calls = []
            else:
                self._answer_all(_FAILED.findall(content))

    def _answer_all(self, names: Iterable[str]) -> None:
        for name in names:
            self._answer(name)

    def _begin(self, text: str) -> None:
        self.text, self.answered, self.has_stray, self.replies = text, {}, False, 0
        self._missing = len(self._required)
        self._asked, self._behind_result = True, False

    def _answer(self, name: str | None) -> None:
        if name is None:
            self.has_stray = True
        else:
            self._missing -= name in self._required and name not in self.answered
            self.answered.pop(name, None)
            self.answered[name] = None
        self._behind_result = True
