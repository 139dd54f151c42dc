"""Which models exist: for chat requests, and for `GET /models` and `GET /models/{id}`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from openpipe_mock.answers import magic
from openpipe_mock.config.project import Model, Project
from openpipe_mock.config.settings import GLOB, Settings
from openpipe_mock.core.errors import NotFound
from openpipe_mock.core.wording import nearest, quoted, quoted_names, short
from openpipe_mock.faults.magic import knows
from openpipe_mock.matching.conditions import glob

Json = dict[str, Any]

OWN = "openpipe:"
"""The prefix of the project's own models."""
_LONGEST = 1000
"""Characters of a model's name: each chunk of a stream repeats it."""
_USUAL = (
    "gpt-4o",
    "gpt-4o-mini",
    "openai:gpt-4o-mini",
    "anthropic:claude-3-5-sonnet-20241022",
    "gemini:gemini-1.5-flash-002",
)
"""Models that are listed where the settings know them without naming them."""


class ModelNotFound(NotFound):
    """The model doesn't exist, in the service's words (source class: sdk). `known`: those that do."""

    def __init__(self, model: str, detail: str = "", *, known: Sequence[str] = ()) -> None:
        access = "" if model.startswith(OWN) else " or you do not have access to it."
        words = f"The model `{short(model, 200)}` does not exist{access}"
        words = f"{words.removesuffix('.')}: {detail}" if detail else words
        told = f"Known are {quoted_names(known)}.{_near_model(model, known)}"
        super().__init__(words=words, issues=[told] if known else ())
        self.note = f"the model {quoted(model)} is not among the known ones. {told}" if known else ""


def find_model(model: str, settings: Settings) -> None:
    """Raise ModelNotFound for a model that isn't known, where any are declared, or that is no name."""
    known = settings.known_models
    if len(model) > _LONGEST:
        raise ModelNotFound(model)
    made = settings.project.models.get(model.removeprefix(OWN)) if model.startswith(OWN) else None
    if made and made.status == "DEPLOYED":
        return
    if made:
        raise ModelNotFound(model, f"its status is {made.status}." if made.status else "it was deleted.")
    if _is_known(model, known):
        return
    if settings.magic and magic.is_model(model):
        if not knows(model):
            raise ModelNotFound(model, magic.unknown_magic_name(magic.bare(model), magic.MODELS))
        return
    if known:
        raise ModelNotFound(model, known=known)


def _near_model(model: str, known: Sequence[str]) -> str:
    """A question whether a known model is meant, compared without providers' prefixes; "" if none is near."""
    names = {magic.bare(name): name for name in known if not GLOB.intersection(name)}
    near = nearest(magic.bare(model), list(names))
    return f" Did you mean {quoted(names[near])}?" if near else ""


def _is_known(model: str, known: Sequence[str]) -> bool:
    return model in known or any(fits(model) for fits in _globs(tuple(known)))


@lru_cache(maxsize=64)
def _globs(known: tuple[str, ...]) -> list[Callable[[str], bool]]:
    """Those of the known names that are globs, compiled."""
    return [glob(name) for name in known if GLOB.intersection(name)]


def model_list(settings: Settings) -> Json:
    """What `GET /models` answers: models that clients made or the settings name, and usual ones they know."""
    return {"object": "list", "data": [_entry(name, settings.project) for name in _listed(settings)]}


def model_shown(model: str, settings: Settings) -> Json:
    """What `GET /models/{id}` answers: a model that is listed or that chat takes. Raises ModelNotFound."""
    made = settings.project.models.get(model.removeprefix(OWN))
    if made and not made.status:
        raise ModelNotFound(f"{OWN}{made.slug}", "it was deleted.")
    if not made and model not in _listed(settings):
        find_model(model, settings)
    return _entry(model.removeprefix(OWN), settings.project)


def _listed(settings: Settings) -> list[str]:
    """The ids of the models that are listed: of the project's own without their prefix (sdk)."""
    known, made = settings.known_models, settings.project.models
    named = [name for name in known if not GLOB.intersection(name)]
    usual = [name for name in _USUAL if not known or _is_known(name, known)]
    listed = dict.fromkeys((*made, *(name.removeprefix(OWN) for name in (*named, *usual))))
    return [name for name in listed if name not in made or made[name].status]


def _entry(model: str, project: Project) -> Json:
    """A model as the official clients' types describe it; but for what a client said, all is made up."""
    made = project.models.get(model) or _made_up(model)
    return {
        "id": model,
        "name": model,
        "object": "model",
        "description": None,
        "created": timestamp(made.created),
        "updated": timestamp(made.created),
        "openpipe": {
            "baseModel": made.base_model,
            "hyperparameters": made.hyperparameters,
            "status": made.status,
            "datasetId": made.dataset,
            "errorMessage": "The mock was asked for this status." if made.status == "ERROR" else None,
        },
        "contextWindow": 128_000,
        "maxCompletionTokens": 4_096,
        "capabilities": ["chat", "tools", "json"],
        "pricing": {"chatIn": 0, "chatOut": 0},
        "owned_by": "openpipe",
    }


def _made_up(model: str) -> Model:
    dataset = str(uuid5(NAMESPACE_OID, model))
    return Model(model, "", "meta-llama/Meta-Llama-3.1-8B-Instruct", None, dataset, status="DEPLOYED")


def timestamp(seconds: float) -> str:
    """A time in seconds since 1970 as the official clients' types have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
