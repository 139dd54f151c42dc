"""A valid request for each endpoint, and a service in which each is answered."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from openpipe_mock.config.project import Dataset, Model, Project
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Reply
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS
from openpipe_mock.service.service import Service
from tests.chatting import asking, sent_with
from tests.inprocess import answer, having

Json = Any

DATASET = str(uuid5(NAMESPACE_OID, "a dataset of the tests"))
MODEL = "counting/3"
BASE_MODEL = "meta-llama/Llama-3.1-8B"
ENTRY: Mapping[str, Json] = {
    "messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1, 2"}],
    "split": "TRAIN",
    "metadata": {"prompt_id": "counting"},
}
CALL: Mapping[str, Json] = {
    "requestedAt": 1735689600000,
    "receivedAt": 1735689600800,
    "reqPayload": {"model": "gpt-4o", "messages": [], "metadata": {"prompt_id": "counting"}},
    "respPayload": {"id": "chatcmpl-1", "model": "gpt-4o"},
    "statusCode": 200,
    "tags": {"$sdk": "python", "try": 1},
}

BODIES: Mapping[str, Json] = {
    "judge": having(),
    "chat": asking(model="openpipe:my-model"),
    "report": CALL,
    "report-anthropic": CALL,
    "update-tags": {"filters": [], "tags": {"a": "b"}},
    "update-metadata": {"filters": [], "metadata": {"a": "b"}},
    "check-cache": {"requestedAt": 1, "reqPayload": {}},
    "create-dataset": {"name": "counting"},
    "create-entries": {"entries": [ENTRY]},
    "create-model": {
        "datasetId": DATASET,
        "slug": "new",
        "trainingConfig": {"provider": "openpipe", "baseModel": BASE_MODEL},
    },
    "unstable-create-dataset": {"name": "counting"},
    "unstable-delete-dataset": {"datasetId": DATASET},
    "unstable-create-entries": {"datasetId": DATASET, "entries": [ENTRY]},
    "unstable-create-model": {"datasetId": DATASET, "slug": "new", "baseModel": BASE_MODEL},
    "unstable-delete-model": {"slug": MODEL},
}
"""Name of an endpoint that takes a body → a valid one."""


def path_of(endpoint: str) -> str:
    """A path of an endpoint below the base URL, where the tests' dataset or model is meant."""
    path = ENDPOINTS[endpoint].path
    return path.replace("{id}", MODEL if path.startswith("/models") else DATASET)


def prepared(settings: Settings | None = None, **changes: Any) -> Service:
    """A service with a dataset and a model."""
    service = Service(settings or Settings(**changes))
    model = Model(MODEL, "an-id", BASE_MODEL, None, DATASET, status="DEPLOYED")
    service.sessions.default.override(project=Project({DATASET: Dataset(DATASET, "a")}, {MODEL: model}))
    return service


def send(service: Service, endpoint: str, body: Json = None, *, key: str | None = "op-test") -> Reply:
    """The reply to a request to an endpoint: to the valid one, or to one with another body."""
    keyless = {b"content-type": b"application/json"}
    return answer(
        service,
        BODIES.get(endpoint) if body is None else body,
        path=BASE + path_of(endpoint),
        method=ENDPOINTS[endpoint].method,
        headers=keyless if key is None else sent_with(key, op_log_request="true"),
        query=f"slug={MODEL}".encode() if endpoint == "unstable-model" else b"",
    )
