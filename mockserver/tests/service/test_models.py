"""`GET /models` and `GET /models/{id}`: what is listed, and which model is one."""

from typing import Any

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Reply
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.service import Service
from tests.chatting import asking, completion, sent_with
from tests.inprocess import answer, content_of, issues_of, message_of

Json = Any


def ask(service: Service, model: str = "", *, key: str = "op-test") -> Reply:
    path = f"{BASE}/models/{model}" if model else f"{BASE}/models"
    return answer(service, path=path, method="GET", headers=sent_with(key))


def listed(*known: str) -> list[str]:
    """The ids of the models that a mock lists, each of which it shows as well."""
    service = Service(Settings(known_models=known))
    models = content_of(ask(service))
    assert contract().checker("ModelList").is_valid(models)
    assert [content_of(ask(service, model["id"])) for model in models["data"]] == models["data"]
    return [model["id"] for model in models["data"]]


def test_known_models_are_listed_once_and_the_projects_own_without_prefix() -> None:
    assert listed("openpipe:counting", "weather", "counting") == ["counting", "weather"]


def test_of_a_glob_usual_models_are_listed() -> None:
    assert listed("openpipe:counting", "gpt-4o*", "gpt-4?", "gpt-[34]") == [
        "counting",
        "gpt-4o",
        "gpt-4o-mini",
    ]
    assert listed("my-*") == []


def test_a_mock_that_knows_every_model_lists_usual_ones_that_it_answers() -> None:
    names = listed()
    assert {name.rpartition(":")[0] for name in names} == {"", "openai", "anthropic", "gemini"}
    assert [completion(Service(), asking(model=name))["model"] for name in names] == names


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("openpipe:counting", "counting"),
        ("counting", "counting"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("meta-llama/Llama-3", "meta-llama/Llama-3"),
        ("mock-echo", "mock-echo"),
    ],
)
def test_a_model_that_chat_takes_is_shown(model: str, shown: str) -> None:
    service = Service(Settings(known_models=("openpipe:counting", "gpt-4o*", "meta-llama/*")))
    found = content_of(ask(service, model))
    assert contract().checker("Model").is_valid(found)
    assert (found["id"], found["object"], found["owned_by"]) == (shown, "model", "openpipe")


def test_an_unknown_model_is_not_found_in_the_words_of_chat() -> None:
    service = Service(Settings(known_models=("openpipe:counting",)))
    for model, words in (("countin", " or you do not have access to it."), ("openpipe:x", "")):
        reply = ask(service, model)
        assert (reply.status, message_of(reply)) == (404, f"The model `{model}` does not exist{words}")
        assert content_of(reply)["error"]["message"] == message_of(reply)
    assert issues_of(ask(service, "countin")) == [
        'Known are "openpipe:counting". Did you mean "openpipe:counting"?'
    ]


def test_a_read_only_key_reads_the_models() -> None:
    service = Service(Settings(keys=("op-all",), read_only_keys=("op-read",)))
    assert [ask(service, model, key="op-read").status for model in ("", "gpt-4o")] == [200, 200]
