"""The endpoints by which official clients make datasets, train models and look for them (source class: sdk).

What they make belongs to the session and lasts as long. The older paths do the same in older shapes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from uuid import NAMESPACE_OID, uuid5

import orjson

from openpipe_mock.config.project import Dataset, Model, Project
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Effects, Now, Reply
from openpipe_mock.core.errors import BadRequest, NotFound
from openpipe_mock.core.seeded import EPOCH
from openpipe_mock.core.wording import did_you_mean, quoted
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS, path_pattern
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.admission import validated
from openpipe_mock.service.models import OWN, ModelNotFound, model_list, model_shown, timestamp
from openpipe_mock.service.request import Handler, Visit

Json = Any

_MOST = 1000
"""Datasets, and models, that a session keeps; entries that are told what is wrong with them."""
_MOST_ENTRIES = 10_000
"""Entries of one request."""
_LONGEST = 1000
"""Characters of a name, and of a slug."""
_MOST_TRAINING = 4000
"""Bytes of a training, as JSON: a session keeps each."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a client asks of a project. `id`: the argument in the path. `number`: counts what is made."""

    project: Project
    settings: Settings
    body: Json
    id: str
    query: Mapping[str, list[str]]
    now: float
    number: Callable[[], int]

    def new_id(self) -> str:
        """An id that depends on the seed and on how much was made before."""
        return str(uuid5(NAMESPACE_OID, f"{self.settings.seed}/{self.number()}"))

    def dataset(self, id: str) -> Dataset:
        """The dataset with this id. Raises NotFound."""
        if id not in self.project.datasets:
            near = did_you_mean(id, list(self.project.datasets))
            raise NotFound(f"there is no dataset {quoted(id)}; POST /datasets makes one.{near}")
        return self.project.datasets[id]

    def model(self) -> Model:
        """The trained model that an older path means, by `id` or `slug`. Raises BadRequest, NotFound."""
        given = {name: value for name in ("id", "slug") if (value := self.one(name)) is not None}
        if not given:
            told = "the `id` or the `slug` of a model is missing; send one of them."
            raise NotFound(told) if self.body is None else BadRequest(told)
        for model in self.project.models.values():
            if model.status and all(getattr(model, name) == value for name, value in given.items()):
                return model
        raise ModelNotFound(given.get("slug") or given["id"])

    def one(self, name: str) -> str | None:
        """A member of the body, or of the query where there is no body."""
        value: str | None = self.query.get(name, [None])[0] if self.body is None else self.body.get(name)
        return value


_Action = Callable[[_Asked], tuple[Project, Json]]
"""Returns the project as it is after a request, and the answer's JSON. Raises ApiError."""


def _handler(action: _Action) -> Handler:
    return Handler(partial(_answer, action), partial(_check, action))


def _check(action: _Action, visit: Visit, body: Json) -> None:
    """Raise BadRequest for a valid body that is refused; what would be made is thrown away."""
    action(_asked(visit, body, EPOCH, lambda: 0))


def _answer(action: _Action, visit: Visit, body: Json) -> Effects:
    """Answer a request, given its JSON. Raises ApiError."""
    schema = ENDPOINTS[visit.entry.endpoint].request
    body = visit.kept(schema, body) if schema else None
    now = (yield Now()) if visit.settings.clock == "real" else EPOCH
    asked = _asked(visit, body, now, lambda: visit.memory.count("made by clients"))
    project, answer = action(asked)
    if project is not asked.project:
        visit.memory.override(project=project)
    return Reply(200, orjson.dumps(answer))


def _asked(visit: Visit, body: Json, now: float, number: Callable[[], int]) -> _Asked:
    endpoint = ENDPOINTS[visit.entry.endpoint]
    matched = path_pattern(BASE + endpoint.path).fullmatch(visit.path)
    id = "".join(matched.groups()) if matched else ""
    query = parse_qs(visit.head.query.decode("latin-1"), max_num_fields=None)
    return _Asked(visit.memory.overrides.project, visit.settings, body, id, query, now, number)


# Datasets.


def made_by_clients(settings: Settings) -> Json:
    """The datasets and the trained models of a session, as the control API shows them."""
    project = settings.project
    slugs = [each.slug for each in project.models.values() if each.status]
    return {"datasets": _shown_datasets(project), "models": [model_shown(slug, settings) for slug in slugs]}


def _list_datasets(asked: _Asked) -> tuple[Project, Json]:
    return asked.project, {"object": "list", "data": _shown_datasets(asked.project)}


def _shown_datasets(project: Project) -> list[Json]:
    return [_shown_dataset(each, project) for each in project.datasets.values()]


def _create_dataset(asked: _Asked) -> tuple[Project, Json]:
    _check_name(asked.body["name"], "/name")
    _check_room(len(asked.project.datasets), "datasets")
    made = Dataset(asked.new_id(), asked.body["name"], asked.now)
    project = _with_dataset(asked.project, made)
    return project, _shown_dataset(made, project)


def _delete_dataset(asked: _Asked) -> tuple[Project, Json]:
    gone = asked.dataset(asked.id if asked.body is None else asked.body["datasetId"]).id
    kept = {id: each for id, each in asked.project.datasets.items() if id != gone}
    return replace(asked.project, datasets=kept), {"id": gone, "object": "dataset", "deleted": True}


def _create_entries(asked: _Asked, schema: str = "DatasetEntry") -> tuple[Project, Json]:
    dataset = asked.dataset(asked.id or asked.body.get("datasetId", ""))
    entries = asked.body["entries"]
    if len(entries) > _MOST_ENTRIES:
        raise BadRequest.at("/entries", f"expected at most {_MOST_ENTRIES:,}, got {len(entries):,}.")
    wrong = _wrong_entries(entries, schema, asked.settings)
    created = len(entries) - len(wrong)
    project = _with_dataset(asked.project, replace(dataset, entries=dataset.entries + created))
    errors = [
        {"object": "dataset.entries.creation.error", "entry_index": index, "message": message}
        for index, message in wrong.items()
    ]
    answer = {"object": "dataset.entries.creation", "entries_created": created}
    return project if created else asked.project, {**answer, "errors": {"object": "list", "data": errors}}


def _wrong_entries(entries: list[Json], schema: str, settings: Settings) -> dict[int, str]:
    """Index of an entry → what is wrong with it. Of many, the first are told where and how."""
    fits, wrong = contract().checker(schema).is_valid, dict[int, str]()
    for index, entry in enumerate(entries):
        if fits(entry):
            continue
        if len(wrong) < _MOST:
            problem = validated(schema, entry, settings.validation).problem.removeprefix("body: ")
        else:
            problem = f"it is no valid entry; {_MOST:,} others before it are told what is wrong."
        if problem:
            wrong[index] = problem
    return wrong


def _with_dataset(project: Project, dataset: Dataset) -> Project:
    return replace(project, datasets={**project.datasets, dataset.id: dataset})


def _shown_dataset(dataset: Dataset, project: Project) -> Json:
    """A dataset as the official clients' types describe it."""
    return {
        "object": "dataset",
        "id": dataset.id,
        "name": dataset.name,
        "created": timestamp(dataset.created),
        "updated": timestamp(dataset.created),
        "dataset_entry_count": dataset.entries,
        "fine_tune_count": sum(
            model.dataset == dataset.id and bool(model.status) for model in project.models.values()
        ),
    }


def _check_name(name: str, pointer: str) -> None:
    if len(name) > _LONGEST:
        raise BadRequest.at(pointer, f"expected at most {_LONGEST:,} characters, got {len(name):,}.")


def _check_room(kept: int, what: str) -> None:
    if kept >= _MOST:
        raise BadRequest(f"a session keeps {_MOST:,} {what}; POST /_mock/reset forgets them all.")


# Models.


def _create_model(asked: _Asked) -> tuple[Project, Json]:
    project, slug = _trained(asked, asked.body["trainingConfig"])
    return project, model_shown(slug, replace(asked.settings, project=project))


def _trained(asked: _Asked, config: Json) -> tuple[Project, str]:
    """The project with the model that a body asks for, and the model's slug."""
    slug, models = asked.body["slug"].removeprefix(OWN), asked.project.models
    if not slug or slug.startswith(OWN):
        raise BadRequest.at("/slug", f"expected a name with `{OWN}` before it at most once.")
    _check_name(slug, "/slug")
    if slug in models and models[slug].status:
        raise BadRequest.at("/slug", f"there is a model {quoted(slug)} already; delete it or choose another.")
    _check_config(config, asked.project)
    dataset = asked.dataset(asked.body["datasetId"])
    _check_room(len(models) - (slug in models), "models, deleted ones among them")
    made = Model(
        slug,
        asked.new_id(),
        config["baseModel"],
        _hyperparameters(config),
        dataset.id,
        asked.now,
        asked.settings.model_status,
    )
    return replace(asked.project, models={**models, slug: made}), slug


_ENABLED_BY = {"sft_hyperparameters": "enable_sft", "preference_hyperparameters": "enable_preference_tuning"}
"""Hyperparameters → what says that they count."""


def _check_config(config: Json, project: Project) -> None:
    """Raise BadRequest for a training that can't be."""
    size = len(orjson.dumps(config))
    if size > _MOST_TRAINING:
        told = f"expected at most {_MOST_TRAINING:,} bytes of JSON, got {size:,}."
        raise BadRequest.at("/trainingConfig", told)
    for name, switch in _ENABLED_BY.items():
        if name in config and config.get(switch) is False:
            told = f"these count with {quoted(switch)}, which is false; set it to true, or leave them out."
            raise BadRequest.at(f"/trainingConfig/{name}", told)
    base = config["baseModel"]
    if config["provider"].startswith("openpipe") and "/" not in base and not _is_trained(base, project):
        known = "a base model, such as `meta-llama/Llama-3.1-8B`, nor the slug of a trained one"
        told = f"{quoted(base)} is neither {known}."
        raise BadRequest.at("/trainingConfig/baseModel", told)


def _is_trained(slug: str, project: Project) -> bool:
    return slug in project.models and bool(project.models[slug].status)


def _hyperparameters(config: Json) -> Json:
    """All hyperparameters of a training under their older names; None without any."""
    preference = config.get("preference_hyperparameters", {})
    older = {f"preference_tuning_{name}": value for name, value in preference.items()}
    return {**config.get("hyperparameters", {}), **config.get("sft_hyperparameters", {}), **older} or None


def _delete_model(asked: _Asked) -> tuple[Project, Json]:
    slug = asked.id.removeprefix(OWN)
    if not (_is_trained(slug, asked.project) or _is_declared(slug, asked)):
        known = [f"{OWN}{each.slug}" for each in asked.project.models.values() if each.status]
        raise ModelNotFound(f"{OWN}{slug}", known=known)
    return _without(slug, asked.project), {"id": slug, "object": "model", "deleted": True}


def _is_declared(slug: str, asked: _Asked) -> bool:
    """Whether the settings name a model of the project that no client has deleted."""
    return f"{OWN}{slug}" in asked.settings.known_models and slug not in asked.project.models


def _without(slug: str, project: Project) -> Project:
    return replace(project, models={**project.models, slug: Model(slug)})


# The older paths.


def _unstable_list_datasets(asked: _Asked) -> tuple[Project, Json]:
    names = {
        "id": "id",
        "name": "name",
        "created": "createdAt",
        "updated": "updatedAt",
        "dataset_entry_count": "datasetEntryCount",
        "fine_tune_count": "fineTuneCount",
    }
    shown = _shown_datasets(asked.project)
    return asked.project, [{new: each[old] for old, new in names.items()} for each in shown]


def _with_dataset_id(action: _Action, asked: _Asked) -> tuple[Project, Json]:
    project, answer = action(asked)
    return project, {"datasetId": answer["id"]}


def _unstable_create_entries(asked: _Asked) -> tuple[Project, Json]:
    project, answer = _create_entries(asked, "UnstableDatasetEntry")
    errors = [{"index": each["entry_index"], "message": each["message"]} for each in answer["errors"]["data"]]
    return project, {"createdEntries": answer["entries_created"], "errors": errors}


def _unstable_create_model(asked: _Asked) -> tuple[Project, Json]:
    body = asked.body
    config = {"provider": "openpipe", "baseModel": body["baseModel"]}
    project, slug = _trained(asked, {**config, "hyperparameters": body.get("overrides", {})})
    return project, {"id": project.models[slug].id}


def _unstable_show_model(asked: _Asked) -> tuple[Project, Json]:
    model = asked.model()
    shown = model_shown(model.slug, asked.settings)["openpipe"]
    return asked.project, {
        "id": model.id,
        "status": model.status,
        "slug": model.slug,
        "baseModel": model.base_model,
        "errorMessage": shown["errorMessage"],
        "datasetId": model.dataset,
        "createdAt": timestamp(model.created),
    }


def _unstable_delete_model(asked: _Asked) -> tuple[Project, Json]:
    model = asked.model()
    return _without(model.slug, asked.project), {"deleted": model.id}


PROJECTS = {
    "models": _handler(lambda asked: (asked.project, model_list(asked.settings))),
    "model": _handler(lambda asked: (asked.project, model_shown(asked.id, asked.settings))),
    "create-model": _handler(_create_model),
    "delete-model": _handler(_delete_model),
    "datasets": _handler(_list_datasets),
    "create-dataset": _handler(_create_dataset),
    "delete-dataset": _handler(_delete_dataset),
    "create-entries": _handler(_create_entries),
    "unstable-datasets": _handler(_unstable_list_datasets),
    "unstable-create-dataset": _handler(partial(_with_dataset_id, _create_dataset)),
    "unstable-delete-dataset": _handler(partial(_with_dataset_id, _delete_dataset)),
    "unstable-create-entries": _handler(_unstable_create_entries),
    "unstable-create-model": _handler(_unstable_create_model),
    "unstable-model": _handler(_unstable_show_model),
    "unstable-delete-model": _handler(_unstable_delete_model),
}
"""Name of an endpoint → its handler."""
