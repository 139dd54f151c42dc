"""Datasets and trained models: what each endpoint does, refuses and forgets, in both generations of paths."""

import json
from typing import Any

import pytest
from hypothesis import given

from openpipe_mock.config.project import STATUSES, Status
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Reply
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS
from openpipe_mock.service.projects import PROJECTS
from openpipe_mock.service.service import Service
from tests.chatting import CHAT, asking, refused, sent_with
from tests.generate import anything, brief, broken, valid
from tests.inprocess import NOW, answer, content_of, issues_of, message_of
from tests.projects import BASE_MODEL, BODIES, DATASET, ENTRY, MODEL, path_of, prepared, send
from tests.service.test_reporting import keeps_contract

Json = Any

POSTED = sorted(name for name in PROJECTS if ENDPOINTS[name].request)


def done(service: Service, endpoint: str, body: Json = None) -> Json:
    reply = send(service, endpoint, body)
    assert reply.status == 200, reply.body
    assert keeps_contract(reply, ENDPOINTS[endpoint])
    return content_of(reply)


def at(service: Service, method: str, path: str, body: Json = None) -> Reply:
    return answer(service, body, path=BASE + path, method=method)


def training(**changes: Json) -> Json:
    """A valid body of `create-model` whose training is changed."""
    body = BODIES["create-model"]
    return {**body, "trainingConfig": {**body["trainingConfig"], **changes}}


# Each does what the client's types say.


@pytest.mark.parametrize("endpoint", PROJECTS)
def test_every_endpoint_answers_as_the_document_says(endpoint: str) -> None:
    done(prepared(), endpoint)


def test_a_dataset_is_made_listed_filled_and_deleted() -> None:
    service = Service()
    made = done(service, "create-dataset", {"name": "counting"})
    assert (made["name"], made["dataset_entry_count"], made["fine_tune_count"]) == ("counting", 0, 0)
    path = f"/datasets/{made['id']}"
    filled = content_of(at(service, "POST", f"{path}/entries", {"entries": [ENTRY] * 10}))
    assert (filled["entries_created"], filled["errors"]["data"]) == (10, [])
    [listed] = done(service, "datasets")["data"]
    assert listed == {**made, "dataset_entry_count": 10}
    assert content_of(at(service, "DELETE", path)) == {"id": made["id"], "object": "dataset", "deleted": True}
    assert done(service, "datasets")["data"] == []
    assert at(service, "DELETE", path).status == 404


WRONG_ENTRIES: tuple[tuple[Json, str], ...] = (
    ({}, "/messages: "),
    ({"messages": []}, "/messages: "),
    ({"messages": [{"role": "user"}, {"role": "nobody"}]}, "/messages/1/role: "),
    ({**ENTRY, "tools": [{}]}, "/tools/0"),
    ({**ENTRY, "rejected_message": {"role": "user", "content": ""}}, "/rejected_message/role: "),
    ({**ENTRY, "split": "VALIDATION"}, "/split: "),
    ({**ENTRY, "metadata": {"number": 1}}, "/metadata/number: "),
    (5, "expected an object"),
)


@pytest.mark.parametrize("endpoint", ["create-entries", "unstable-create-entries"])
def test_each_entry_is_checked_by_itself_and_named_by_its_index(endpoint: str) -> None:
    entries = [part for entry, _ in WRONG_ENTRIES for part in (ENTRY, entry)]
    service = prepared()
    body = {**BODIES[endpoint], "entries": entries}
    found = done(service, endpoint, body)
    new = endpoint == "create-entries"
    errors = found["errors"]["data"] if new else found["errors"]
    assert found["entries_created" if new else "createdEntries"] == len(WRONG_ENTRIES)
    assert [each["entry_index" if new else "index"] for each in errors] == list(range(1, len(entries), 2))
    for error, (_, pointer) in zip(errors, WRONG_ENTRIES, strict=True):
        assert error["message"].startswith(pointer)
    assert done(service, "datasets")["data"][0]["dataset_entry_count"] == len(WRONG_ENTRIES)


def test_the_older_entries_may_hold_functions_and_a_judgement() -> None:
    older = {**ENTRY, "functions": [{"name": "count"}], "judgement": "PASS"}
    body = {**BODIES["unstable-create-entries"], "entries": [older]}
    assert done(prepared(), "unstable-create-entries", body) == {"createdEntries": 1, "errors": []}
    assert len(done(prepared(), "create-entries", {"entries": [older]})["errors"]["data"]) == 1


def test_of_many_wrong_entries_the_first_are_told_how() -> None:
    errors = done(prepared(), "create-entries", {"entries": [{}] * 1500})["errors"]["data"]
    assert len(errors) == 1500
    assert [each["message"].startswith("/messages: ") for each in errors] == [True] * 1000 + [False] * 500
    refusal = send(prepared(), "create-entries", {"entries": [{}] * 10_001})
    assert (refusal.status, issues_of(refusal)) == (400, ["/entries: expected at most 10,000, got 10,001."])


# Models.


def test_a_model_is_trained_shown_counted_asked_and_deleted() -> None:
    service = Service()
    dataset = done(service, "create-dataset")["id"]
    sft = {"batch_size": "auto", "num_epochs": 2}
    preference = {"enable_preference_tuning": True, "preference_hyperparameters": {"training_beta": 0.1}}
    body = {**training(sft_hyperparameters=sft, **preference), "datasetId": dataset, "slug": "mine"}
    made = done(service, "create-model", body)
    trained = made["openpipe"]
    assert (made["id"], trained["status"], trained["datasetId"]) == ("mine", "DEPLOYED", dataset)
    assert trained["hyperparameters"] == {**sft, "preference_tuning_training_beta": 0.1}
    assert done(service, "models")["data"][0] == content_of(at(service, "GET", "/models/mine")) == made
    assert done(service, "datasets")["data"][0]["fine_tune_count"] == 1
    assert answer(service, asking(model="openpipe:mine"), path=CHAT).status == 200
    gone = content_of(at(service, "DELETE", "/models/mine"))
    assert gone == {"id": "mine", "object": "model", "deleted": True}
    assert "mine" not in [each["id"] for each in done(service, "models")["data"]]
    assert at(service, "GET", "/models/mine").status == at(service, "DELETE", "/models/mine").status == 404
    told = refused(answer(service, asking(model="openpipe:mine"), path=CHAT), 404, "NOT_FOUND")
    assert told == "The model `openpipe:mine` does not exist: it was deleted."
    assert done(service, "datasets")["data"][0]["fine_tune_count"] == 0
    assert done(service, "create-model", {**body, "slug": "openpipe:mine"})["id"] == "mine"


@pytest.mark.parametrize("status", STATUSES)
def test_a_model_has_the_status_that_the_settings_say(status: Status) -> None:
    service = prepared(model_status=status, known_models=("gpt-4o",))
    assert done(service, "create-model")["openpipe"]["status"] == status
    reply = answer(service, asking(model="openpipe:new"), path=CHAT)
    if status == "DEPLOYED":
        assert reply.status == 200
    else:
        assert refused(reply, 404, "NOT_FOUND").endswith(f"its status is {status}.")


def test_a_model_that_the_settings_name_can_be_deleted_and_others_can_not() -> None:
    service = Service(Settings(known_models=("openpipe:mine", "gpt-4o")))
    assert at(service, "DELETE", "/models/gpt-4o").status == 404
    assert at(service, "DELETE", "/models/openpipe:mine").status == 200
    assert at(service, "GET", "/models/mine").status == 404
    assert answer(service, asking(model="openpipe:mine"), path=CHAT).status == 404
    assert [each["id"] for each in done(service, "models")["data"]] == ["gpt-4o"]
    assert at(service, "DELETE", "/models/mine").status == 404


REFUSED: tuple[tuple[Json, str], ...] = (
    (training(enable_sft=False, sft_hyperparameters={}), "/trainingConfig/sft_hyperparameters: "),
    (
        training(enable_preference_tuning=False, preference_hyperparameters={}),
        "/trainingConfig/preference_hyperparameters: ",
    ),
    (training(baseModel="some-slug"), "/trainingConfig/baseModel: "),
    (training(provider="openai"), "/trainingConfig/baseModel: "),
    (training(provider="nobody"), "/trainingConfig/provider: "),
    ({**BODIES["create-model"], "slug": ""}, "/slug: "),
    *(
        ({**BODIES["create-model"], "slug": slug}, "/slug: expected a name with `openpipe:`")
        for slug in ("openpipe:", "openpipe:openpipe:x")
    ),
    ({**BODIES["create-model"], "slug": MODEL}, "/slug: there is a model"),
    ({**BODIES["create-model"], "slug": "x" * 1001}, "/slug: expected at most 1,000 characters"),
    (training(baseModel="a/" + "x" * 4000), "/trainingConfig: expected at most 4,000 bytes of JSON"),
    (training(hyperparameters={"x": "y" * 4000}), "/trainingConfig: expected at most 4,000 bytes of JSON"),
)


@pytest.mark.parametrize(("body", "issue"), REFUSED)
def test_a_training_that_can_not_be_is_refused_where_it_is_wrong(body: Json, issue: str) -> None:
    service = prepared()
    reply = send(service, "create-model", body)
    assert reply.status == 400
    assert issues_of(reply)[0].startswith(issue)
    assert list(service.sessions.default.overrides.project.models) == [MODEL]


def test_a_model_is_trained_from_a_trained_one_and_a_dataset_that_is_there() -> None:
    assert done(prepared(), "create-model", training(baseModel=MODEL))["openpipe"]["baseModel"] == MODEL
    lost = {**BODIES["create-model"], "datasetId": DATASET[:-1]}
    reply = send(prepared(), "create-model", lost)
    assert reply.status == 404
    assert f'Did you mean "{DATASET}"?' in message_of(reply)


# The older paths.


def test_the_older_paths_do_the_same() -> None:
    service = Service()
    dataset = done(service, "unstable-create-dataset", {"name": "a"})["datasetId"]
    assert [each["id"] for each in done(service, "datasets")["data"]] == [dataset]
    made = done(
        service, "unstable-create-model", {"datasetId": dataset, "slug": "b", "baseModel": BASE_MODEL}
    )["id"]
    for query in (b"slug=b", f"id={made}".encode()):
        shown = answer(service, path=f"{BASE}/unstable/finetune/get", method="GET", query=query)
        assert content_of(shown)["id"] == made
        assert content_of(shown)["status"] == "DEPLOYED"
    assert content_of(at(service, "GET", "/models/b"))["openpipe"]["datasetId"] == dataset
    [listed] = done(service, "unstable-datasets")
    assert (listed["id"], listed["fineTuneCount"]) == (dataset, 1)
    assert done(service, "unstable-delete-model", {"id": made}) == {"deleted": made}
    assert done(service, "unstable-delete-dataset", {"datasetId": dataset}) == {"datasetId": dataset}


@pytest.mark.parametrize("body", [{"id": "x"}, {"slug": "x"}, {"slug": MODEL, "id": "x"}])
def test_a_model_that_the_older_path_does_not_find(body: Json) -> None:
    assert send(prepared(), "unstable-delete-model", body).status == 404


def test_the_older_paths_need_an_id_or_a_slug() -> None:
    refusals = (
        send(prepared(), "unstable-delete-model", {}),
        answer(prepared(), path=BASE + path_of("unstable-model"), method="GET"),
    )
    assert [reply.status for reply in refusals] == [400, 404]
    assert all("send one of them" in message_of(reply) for reply in refusals)


# What it lasts for, and what bounds it.


def test_ids_and_times_are_the_same_each_time_and_differ_within_a_session() -> None:
    def ids(**changes: Any) -> list[str]:
        service = Service(Settings(**changes))
        return [done(service, "create-dataset")["id"] for _ in range(3)]

    assert ids() == ids() != ids(seed=1)
    assert len(set(ids())) == 3
    assert done(Service(), "create-dataset")["created"] == "2024-01-01T00:00:00.000Z"
    assert done(Service(Settings(clock="real")), "create-dataset")["created"] == "2025-01-01T00:00:00.250Z"
    assert NOW % 1 == 0.25


def test_a_project_belongs_to_its_session_and_goes_with_a_reset() -> None:
    service = Service()
    done(service, "create-dataset")
    elsewhere = {**sent_with(), b"x-mock-session": b"other"}
    found = answer(service, path=f"{BASE}/datasets", method="GET", headers=elsewhere)
    assert content_of(found)["data"] == []
    assert len(done(service, "datasets")["data"]) == 1
    service.sessions.default.forget()
    assert done(service, "datasets")["data"] == []


def test_a_session_keeps_a_bounded_number() -> None:
    service = prepared()
    for _ in range(999):
        done(service, "create-dataset")
    assert "a session keeps 1,000 datasets" in message_of(send(service, "create-dataset"))
    for number in range(999):
        done(service, "create-model", {**BODIES["create-model"], "slug": f"{number}"})
    assert "a session keeps 1,000 models" in message_of(send(service, "create-model"))
    assert send(service, "create-dataset", {"name": "x" * 1001}).status == 400


def test_a_fault_that_strikes_makes_nothing() -> None:
    service = prepared()
    headers = {**sent_with(), b"x-mock-fault": b"500"}
    for endpoint in ("create-dataset", "create-model", "delete-dataset"):
        method, path = ENDPOINTS[endpoint].method, BASE + path_of(endpoint)
        sent = answer(service, BODIES.get(endpoint), path=path, method=method, headers=headers)
        assert sent.status == 500
    project = service.sessions.default.overrides.project
    assert (list(project.datasets), list(project.models)) == ([DATASET], [MODEL])


def test_a_completion_is_not_given_again_once_its_model_is_deleted() -> None:
    service = prepared()
    asked = asking(model=f"openpipe:{MODEL}")
    assert [answer(service, asked, path=CHAT).status for _ in range(3)] == [200] * 3
    assert send(service, "delete-model").status == 200
    assert answer(service, asked, path=CHAT).status == 404


@pytest.mark.parametrize("endpoint", POSTED)
def test_whatever_is_sent_the_answer_is_the_contracts(endpoint: str) -> None:
    schema = ENDPOINTS[endpoint].request

    @brief
    @given(body=valid(schema) | broken(schema) | anything)
    def holds(body: Json) -> None:
        reply = send(prepared(), endpoint, json.dumps(body).encode())
        assert reply.status in (200, 400, 404)
        assert keeps_contract(reply, ENDPOINTS[endpoint])

    holds()
