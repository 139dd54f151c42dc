"""Makes the texts of answers, short and about the last message, and splits texts into tokens."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from openpipe_mock.openapi.roles import RESULTS

# Each word is a single token, and there are more words than the 128 choices that the contract allows: the
# choices of a request take neighbouring words, so that they differ even when one token is all that is left.
_WORDS = """
Acorn Alder Amber Anchor Apple Arbor Arrow Aspen Aster Autumn Badger Bamboo Banjo Basil Beacon Beaver Birch
Blossom Bramble Breeze Bridge Brook Button Candle Canyon Cedar Cherry Cinder Cloud Clover Cobalt Comet
Copper Coral Cotton Cove Cricket Crystal Daisy Dawn Delta Dune Ember Falcon Fable Feather Fern Fiddle Finch
Flint Forest Fossil Garden Garnet Ginger Glacier Granite Grove Harbor Harvest Hazel Heather Heron Hollow
Honey Indigo Iris Island Ivory Ivy Jasmine Jasper Juniper Kestrel Lagoon Lantern Larch Lark Laurel Lemon
Lilac Linen Lotus Lupin Magpie Maple Marble Marigold Meadow Mellow Mint Mirror Moss Mountain Nectar Nutmeg
Oak Ocean Olive Onyx Opal Orchard Osprey Otter Pebble Pepper Pine Plum Pocket Poplar Prairie Quarry Quartz
Quill Rabbit Raven Reed Ribbon River Robin Rowan Saffron Sage Sandal Satin Sparrow Spruce Summit Thicket
Thistle Timber Topaz Tulip Valley Violet Walnut Willow Winter
"""
OPENERS = tuple(_WORDS.split())
_LONGEST_QUOTE = 60

PARTS = {"image_url": "an image", "input_audio": "a recording", "file": "a file"}


def reply(about: str, key: int, number: int) -> str:
    """Return the text of a choice. `about`: its subject, as `subject` says it. `number`: the choice's number.

    `key`: chooses the opener of the request's choice 0; the choices after it take the next ones.
    """
    opener = OPENERS[(key + number) % len(OPENERS)]
    lap = number // len(OPENERS)
    return f"{opener} mock answer{f' {lap + 1}' if lap else ''} to {about}."


def subject(messages: Sequence[Mapping[str, Any]]) -> str:
    """Describe the last message in a few words: a quotation, a call, or what it contains."""
    if not messages:
        return "an empty conversation"
    last = messages[-1]
    text = " ".join(said(last).lstrip()[: 20 * _LONGEST_QUOTE].split())
    if text:
        quote = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE].rstrip()}…"
        result = f"the {last['role']} result " if last["role"] in RESULTS else ""
        return f"{result}“{quote}”"
    if last.get("tool_calls") or last.get("function_call"):
        return "a call"
    content = last.get("content")
    kinds = [part["type"] for part in content] if isinstance(content, list) else []
    return next((PARTS[kind] for kind in kinds if kind in PARTS), f"an empty {last['role']} message")


def said(message: Mapping[str, Any]) -> str:
    """Return a message's text: its content, or the joined texts of its parts, else its refusal, else ""."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text") or part.get("refusal") or "" for part in content)
    return content or message.get("refusal") or ""


_PIECES = re.compile(r" ?[A-Za-z0-9_']{1,12}| ?[!-/:-@\[-`{-~]{1,3}|[^\x00-\x7f]{1,4}|[\x00-\x7f]")
LONGEST_WORD = 13
"""Characters of the longest token: a space and twelve letters or digits."""
_BYTES_PER_TOKEN = 4
"""A rough measure for prompts, whose tokens are only counted."""


def split(text: str, most: int | None = None) -> list[str]:
    """Split a text into tokens, whose joining gives the text. `most`: return only so many, the first ones."""
    if most is None or len(text) <= most:  # then there are no more, even if each character is a token
        return _PIECES.findall(text)
    return [piece.group() for piece in islice(_PIECES.finditer(text), most)]


def estimate(data: bytes) -> int:
    """Return about how many tokens a prompt of these bytes has."""
    # By length alone, so that long prompts cost no more than short ones.
    return -(-len(data) // _BYTES_PER_TOKEN)


def until_stop(text: str, stops: tuple[str, ...]) -> str:
    """Return the text up to the first stop text in it; empty stop texts are ignored."""
    ends = [text.find(stop) for stop in stops if stop]
    return text[: min((end for end in ends if end >= 0), default=len(text))]
