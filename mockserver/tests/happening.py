"""One request in this process with all that an adapter was told to do for it: waits, pieces, breaks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openpipe_mock.core.effects import Break, Effect, Head, Piece, Reply, Wait
from openpipe_mock.service.service import Service
from tests.inprocess import HEADERS, carried_out, content_of

Json = Any


@dataclass(frozen=True)
class Happened:
    """The effects of an exchange in their order, and its reply."""

    effects: list[Effect]
    reply: Reply

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def body(self) -> Json:
        return content_of(self.reply)

    @property
    def waits(self) -> list[float]:
        """Seconds."""
        return [effect.seconds for effect in self.effects if isinstance(effect, Wait)]

    @property
    def sent(self) -> list[bytes]:
        """The pieces of a stream."""
        return [effect.data for effect in self.effects if isinstance(effect, Piece)]

    @property
    def breaks(self) -> bool:
        return any(isinstance(effect, Break) for effect in self.effects)

    def header(self, name: str) -> str:
        return dict(self.reply.headers).get(name.encode(), b"").decode()


def happened(
    service: Service, body: Json, path: str, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Happened:
    """What comes of a request; the headers are put over those of any good one."""
    given = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    exchange = service.exchange(Head(method, path, {**HEADERS, **given}))
    effects: list[Effect] = []
    try:
        effect = next(exchange)
        while True:
            effects.append(effect)
            effect = exchange.send(carried_out(effect, json.dumps(body).encode(), []))
    except StopIteration as stop:
        return Happened(effects, stop.value)
