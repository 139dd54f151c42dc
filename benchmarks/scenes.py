"""What is measured: requests by name, and the share of the bare app that each is meant to reach."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openpipe_mock.core.effects import Effect, Head, Piece, ReadBody
from openpipe_mock.service.service import Service

Json = Any
JUDGE, CHAT = "/api/v1/criteria/judge", "/api/v1/chat/completions"
TALK = (
    {"role": "system", "content": "You are a helpful assistant that counts, and that never apologises."},
    {"role": "user", "content": "Count to 3, please, and put commas between the numbers."},
    {"role": "assistant", "content": "1, 2"},
    {"role": "user", "content": "And the last one?"},
)
OUTPUT = {"role": "assistant", "content": "1, 2, 3."}
CHUNKS = 200


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of request. `share`: of the bare app's requests a second; `bare` is the path there.

    `varied`: each request says something else, so that nothing can be given again that was given before.
    """

    name: str
    path: str
    body: Json
    share: float
    headers: Mapping[str, str] = field(default_factory=dict)
    bare: str = "/"
    varied: bool = False

    def bytes(self) -> bytes:
        return json.dumps(self.body).encode()


def judging(*messages: Json) -> Json:
    return {"criterion_id": "helpful@v1", "input": {"messages": list(messages)}, "output": OUTPUT}


def asking(**members: Json) -> Json:
    return {"model": "openai:gpt-4o-mini", "messages": list(TALK), **members}


NUMBER = "@number@"
SAYING = {"role": "user", "content": f"This is request {NUMBER}."}
SAID = "word" + " word" * (CHUNKS - 4)
"""As many tokens as make 200 pieces, with the first chunk, the last one and `[DONE]`."""
STREAM = {"model": "openpipe:mock-echo", "messages": [{"role": "user", "content": SAID}], "stream": True}
SCENES = (
    Scene("judge", JUDGE, judging(*TALK), 0.80),
    Scene("chat n=1", CHAT, asking(), 0.70),
    Scene("best of 5, two criteria", CHAT, asking(n=5), 0.40, {"op-criteria": '["helpful", "concise"]'}),
    Scene("invalid judge", JUDGE, {"criterion_id": 7, "output": {"role": "user"}}, 0.45),
    Scene("stream of 200 chunks", CHAT, STREAM, 0.60, bare="/stream"),
    Scene("judge, each another", JUDGE, judging(*TALK, SAYING), 0.0, varied=True),
    Scene("chat n=1, each another", CHAT, asking(messages=[*TALK, SAYING]), 0.0, varied=True),
    Scene(
        "best of 5, two criteria, each another", CHAT, asking(messages=[*TALK, SAYING], n=5), 0.0,
        {"op-criteria": '["helpful", "concise"]'}, varied=True,
    ),
)  # fmt: skip
HEADERS = {"Authorization": "Bearer op-bench", "Content-Type": "application/json"}


def stream_pieces() -> Iterator[bytes]:
    """The pieces of the stream that is measured, as the mock sends them."""
    headers = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
    exchange = Service().exchange(Head("POST", CHAT, headers))
    effect: Effect = next(exchange)
    try:
        while True:
            result: Json = json.dumps(STREAM).encode() if isinstance(effect, ReadBody) else None
            if isinstance(effect, Piece):
                yield effect.data
            effect = exchange.send(0.0 if type(effect).__name__ == "Tick" else result)
    except StopIteration:
        return
