"""Judges one completion message in each form that users have it in; prints the scores as JSON."""

import json

from openai.types.chat import ChatCompletionMessage
from openpipe.client import OpenPipe

MESSAGE = ChatCompletionMessage(
    role="assistant",
    content="1, 2, 3",
    refusal=None,
    annotations=None,
    audio=None,
    function_call=None,
    tool_calls=None,
)

FORMS = {
    "dict": {"role": "assistant", "content": "1, 2, 3"},
    "message": MESSAGE,
    "model_dump": MESSAGE.model_dump(),
}


def score(output):
    asked = {"messages": [{"role": "user", "content": "Count to 3"}]}
    return OpenPipe().get_criterion_judgement(criterion_id="helpful", input=asked, output=output).score


def score_as_input(output):
    """The message as a part of the conversation, as in multi-turn chats."""
    asked = {"messages": [{"role": "user", "content": "Count to 3"}, output]}
    final = {"role": "assistant", "content": "4"}
    return OpenPipe().get_criterion_judgement(criterion_id="helpful", input=asked, output=final).score


print(
    json.dumps(
        {
            "output": {form: score(output) for form, output in FORMS.items()},
            "input": {form: score_as_input(output) for form, output in FORMS.items()},
        }
    )
)
