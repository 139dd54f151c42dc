"""Chats with LangChain's ChatOpenAI: `chat.py BASE_URL`; prints what each scene saw as JSON."""

import asyncio
import json
import sys

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

QUESTION = [SystemMessage("Be brief."), HumanMessage("Count to 10")]


class Winner(BaseModel):
    """Who won."""

    name: str
    place: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


def model(**settings):
    return ChatOpenAI(
        model="openai:gpt-4o-mini", base_url=sys.argv[1], api_key="op-langchain", max_retries=0, **settings
    )


def invoked():
    message = model().invoke(QUESTION)
    return {
        "content": message.content,
        "usage": message.usage_metadata,
        "end": message.response_metadata["finish_reason"],
    }


def streamed():
    chunks = list(model(stream_usage=True).stream(QUESTION))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {
        "content": whole.content,
        "usage": whole.usage_metadata,
        "end": whole.response_metadata["finish_reason"],
        "pieces": sum(bool(chunk.content) for chunk in chunks),
    }


def invoked_later():
    async def ask():
        return (await model().ainvoke(QUESTION)).content

    return asyncio.run(ask())


def batched():
    return [message.content for message in model().batch([QUESTION, QUESTION])]


def called():
    message = model().bind_tools([get_weather]).invoke("What is the weather in Rome?")
    return [{"name": call["name"], "arguments": sorted(call["args"])} for call in message.tool_calls]


def streamed_call():
    whole = None
    for chunk in model().bind_tools([get_weather]).stream("What is the weather in Rome?"):
        whole = chunk if whole is None else whole + chunk
    return [{"name": call["name"], "arguments": sorted(call["args"])} for call in whole.tool_calls]


def agent():
    """Calls tools until the answer is in words, for ten turns at most."""
    bound, messages, turns = model().bind_tools([get_weather]), [HumanMessage("The weather in Rome?")], []
    for _ in range(10):
        message = bound.invoke(messages)
        messages.append(message)
        turns.append(len(message.tool_calls))
        if not message.tool_calls:
            return {"calls": turns, "answer": message.content}
        for call in message.tool_calls:
            messages.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
    return {"calls": turns}


def structured(**settings):
    return model().with_structured_output(Winner, **settings).invoke(QUESTION).model_dump()


def structured_by_a_parser():
    """The parser's format instructions have the schema; nothing else of the request has."""
    parser = PydanticOutputParser(pydantic_object=Winner)
    message = model().invoke([HumanMessage(f"Who won?\n{parser.get_format_instructions()}")])
    return parser.invoke(message).model_dump()


def with_a_file():
    """A file and an image in the question, and an image in a tool's result."""
    pixel = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    paper = {"type": "file", "base64": "AAAA", "mime_type": "application/pdf", "filename": "a.pdf"}
    call = {"name": "get_weather", "args": {"city": "Rome"}, "id": "call_1"}
    messages = [
        HumanMessage([{"type": "text", "text": "Read this."}, pixel, paper]),
        AIMessage("", tool_calls=[call]),
        ToolMessage([{"type": "text", "text": "Rain"}, pixel], tool_call_id="call_1"),
    ]
    return model().invoke(messages).content


def structured_in_json_mode():
    """The form is the user's affair in this mode, so what comes is not yet a winner."""
    found = model().with_structured_output(Winner, method="json_mode", include_raw=True).invoke(QUESTION)
    return json.loads(found["raw"].content)


def best_of_n():
    judged = model(n=5, default_headers={"op-criteria": '["helpful"]'})
    return {"judged": texts_of(judged), "unjudged": texts_of(model(n=5))}


def texts_of(chat):
    [choices] = chat.generate([QUESTION]).generations
    return [choice.text for choice in choices]


def refused():
    try:
        model(max_tokens=-1).invoke(QUESTION)
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}


SCENES = {
    "invoked": invoked,
    "streamed": streamed,
    "invoked later": invoked_later,
    "batched": batched,
    "called": called,
    "streamed call": streamed_call,
    "agent": agent,
    "structured": structured,
    "structured by a function": lambda: structured(method="function_calling"),
    "structured by a schema": lambda: structured(method="json_schema", strict=True),
    "structured by a parser": structured_by_a_parser,
    "with a file": with_a_file,
    "structured in JSON mode": structured_in_json_mode,
    "best of n": best_of_n,
    "refused": refused,
}


def seen(scene):
    """What a scene saw; one that fails doesn't keep the others from being played."""
    try:
        return scene()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


print(json.dumps({name: seen(scene) for name, scene in SCENES.items()}))
