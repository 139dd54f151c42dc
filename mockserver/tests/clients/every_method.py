"""Calls every public method of the official Python client: `every_method.py`; prints what came as JSON.

The methods are listed by introspection: one that isn't known here fails.
"""

import asyncio
import inspect
import json

from openpipe.client import AsyncOpenPipe, OpenPipe

MESSAGES = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1, 2, 3"}]
BASE_MODEL = "meta-llama/Llama-3.1-8B"
TRAINING = {"provider": "openpipe", "baseModel": BASE_MODEL, "sft_hyperparameters": {"batch_size": "auto"}}
OUTPUT = {"role": "assistant", "content": "1, 2, 3"}

CALLS = {
    "create_chat_completion": lambda seen: {"messages": MESSAGES[:1], "model": "openpipe:counting"},
    "get_criterion_judgement": lambda seen: {
        "criterion_id": "helpful",
        "input": {"messages": MESSAGES},
        "output": OUTPUT,
    },
    "report": lambda seen: {"req_payload": {"model": "a"}, "resp_payload": {"id": "b"}, "status_code": 200},
    "report_anthropic": lambda seen: {"req_payload": None, "resp_payload": None, "status_code": 200},
    "update_log_tags": lambda seen: {"filters": [], "tags": {"a": "b"}},
    "update_log_metadata": lambda seen: {"filters": [], "metadata": {"a": "b"}},
    "local_testing_only_get_latest_logged_call": lambda seen: {},
    "check_cache": lambda seen: {"requested_at": 1},
    "create_dataset": lambda seen: {"name": "counting"},
    "create_dataset_entries": lambda seen: {
        "dataset_id": seen["create_dataset"].id,
        "entries": [{"messages": MESSAGES, "split": "TRAIN", "metadata": {"a": "b"}}, {"messages": []}],
    },
    "list_datasets": lambda seen: {},
    "create_model": lambda seen: {
        "dataset_id": seen["create_dataset"].id,
        "slug": "mine",
        "training_config": TRAINING,
        "pruning_rule_ids": [],
        "default_temperature": 0.5,
    },
    "get_model": lambda seen: {"model_slug": "mine"},
    "list_models": lambda seen: {},
    "delete_model": lambda seen: {"model_slug": "mine"},
    "delete_dataset": lambda seen: {"dataset_id": seen["create_dataset"].id},
    "unstable_dataset_create": lambda seen: {"name": "older"},
    "unstable_dataset_entry_create": lambda seen: {
        "dataset_id": seen["unstable_dataset_create"].dataset_id,
        "entries": [{"messages": MESSAGES, "judgement": "PASS"}, {"messages": []}],
    },
    "unstable_dataset_list": lambda seen: {},
    "unstable_finetune_create": lambda seen: {
        "dataset_id": seen["unstable_dataset_create"].dataset_id,
        "slug": "older",
        "base_model": BASE_MODEL,
        "overrides": {"batch_size": 4},
    },
    "unstable_finetune_get": lambda seen: {"slug": "older"},
    "unstable_finetune_delete": lambda seen: {"id": seen["unstable_finetune_create"].id},
    "unstable_dataset_delete": lambda seen: {"dataset_id": seen["unstable_dataset_create"].dataset_id},
}
"""Name of a method → its arguments, given what the methods before it returned."""


def methods(client):
    """The public methods of a client, in the order in which they can be called."""
    found = [name for name, _ in inspect.getmembers(client, inspect.ismethod) if not name.startswith("_")]
    return sorted(found, key=list(CALLS).index)


async def seen_by(client):
    """Name of each method of a client → what it returned."""
    seen = {}
    for name in methods(client):
        answer = getattr(client, name)(**CALLS[name](seen))
        seen[name] = await answer if inspect.isawaitable(answer) else answer
    return seen


CLIENTS = {
    "sync": lambda: OpenPipe(),
    "async": lambda: AsyncOpenPipe(),
    "sync base": lambda: OpenPipe().base_client,
    "async base": lambda: AsyncOpenPipe().base_client,
}


def told(answer):
    if isinstance(answer, list):
        return [told(each) for each in answer]
    return json.loads(answer.json()) if answer is not None else None


if __name__ == "__main__":
    print(
        json.dumps(
            {
                way: {name: told(answer) for name, answer in asyncio.run(seen_by(make())).items()}
                for way, make in CLIENTS.items()
            }
        )
    )
