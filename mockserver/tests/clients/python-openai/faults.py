"""Meets faults with OpenAI's Python client, or the provider's: `faults.py openai|openpipe SCENES`.

SCENES is a file with a JSON list. Those with a timeout are played first, by themselves, since a busy client
is late; then all others at once, as clients that retry wait most of the time.
Prints a line of JSON for each: what the user of the client saw.
"""

import importlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openai import Timeout

ASKED = {"messages": [{"role": "user", "content": "Count to 3"}]}
OUTPUT = {"role": "assistant", "content": "1, 2, 3"}


def judged(clients, scene, seen):
    """A judgement; for that the client takes no options."""
    found = clients["judge"].get_criterion_judgement(criterion_id=scene["name"], input=ASKED, output=OUTPUT)
    seen |= {"answer": type(found).__name__, "right": isinstance(found.score, float)}


def asked(clients, scene, **body):
    client = clients[scene.get("retries", "default")]
    timeout = Timeout(60, read=scene.get("timeout", 60))
    model = f"openpipe:{scene['name']}"
    return client.chat.completions.create(model=model, **ASKED, timeout=timeout, **body)


def completed(clients, scene, seen):
    """A plain answer, as far as the client lets it through."""
    found = asked(clients, scene)
    right = bool(getattr(found, "choices", None)) and found.choices[0].message.content == scene["text"]
    seen |= {"answer": type(found).__name__, "right": right}


def streamed(clients, scene, seen):
    """Notes each chunk as it comes: what came before an error counts too."""
    seen["chunks"] = 0
    stream = asked(clients, scene, stream=True)
    for chunk in stream:
        seen["chunks"] += 1
        seen["right"] = any(choice.finish_reason == "stop" for choice in chunk.choices or ())
        if seen["chunks"] == scene.get("leave"):
            return stream.close()


MODES = {"judge": judged, "plain": completed, "streams": streamed}


def attributes(error):
    """What an exception tells: its class, what its user reads in it, and what is behind it."""
    cause = error.__cause__ or error.__context__
    names = ("status_code", "code", "body", "message", "request_id")
    carried = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return {"error": type(error).__name__, "cause": cause and type(cause).__name__, "carries": carried}


def played(clients, scene):
    seen = {"scene": scene["name"]}
    started = time.monotonic()
    try:
        MODES[scene["mode"]](clients, scene, seen)
    except Exception as error:
        seen |= attributes(error)
    return seen | {"seconds": time.monotonic() - started}


def main(name, path):
    module = importlib.import_module(name)
    clients = {"default": module.OpenAI(), 0: module.OpenAI(max_retries=0)}
    if name == "openpipe":
        clients["judge"] = module.client.OpenPipe(timeout=0.3)
    scenes = json.loads(Path(path).read_text(encoding="utf-8"))
    timed = [scene for scene in scenes if "timeout" in scene]
    with ThreadPoolExecutor(len(scenes)) as pool:
        for batch in (timed, [scene for scene in scenes if scene not in timed]):
            for seen in pool.map(lambda scene: played(clients, scene), batch):
                print(json.dumps(seen))


main(*sys.argv[1:])
