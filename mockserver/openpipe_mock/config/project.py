"""What clients make in a project: datasets, and the models that are trained from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from openpipe_mock.core.seeded import EPOCH

Status = Literal[
    "PENDING", "TRAINING", "DEPLOYED", "ERROR", "DEPRECATED", "PENDING_DEPRECATION", "QUEUED", "PROVISIONING"
]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset. `created`: in seconds since 1970. `entries`: how many it has."""

    id: str
    name: str
    created: float = EPOCH
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a client has trained or deleted.

    `slug`: its name in chat requests, behind `openpipe:`. `status`: "" for one that is deleted.
    """

    slug: str
    id: str = ""
    base_model: str = ""
    hyperparameters: Mapping[str, Any] | None = None
    dataset: str = ""
    created: float = EPOCH
    status: Status | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Project:
    """The datasets by id and the models by slug. Treat it as immutable."""

    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)


EMPTY = Project()
