"""The settings of a mock, parsed at the edge into frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

Validation = Literal["strict", "lenient", "report"]
Ids = Literal["content", "random"]
Clock = Literal["fixed", "real"]
Repeat = Literal["same", "vary"]
VALIDATIONS: tuple[Validation, ...] = get_args(Validation)
IDS: tuple[Ids, ...] = get_args(Ids)
CLOCKS: tuple[Clock, ...] = get_args(Clock)
REPEATS: tuple[Repeat, ...] = get_args(Repeat)

ANSWERS = 1
"""The newest generation of answers. Texts, scores and ids belong to one; its bytes never change."""

MEBIBYTE = 2**20
EPOCH = 1_704_067_200
"""The start of 2024, in seconds since 1970: when everything happens as long as nobody brings a clock."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A criterion that the user declares: its versions, and for a reward model its tokens a judgement.

    A reward model answers `usage` and no explanation (source class: sdk). `error`: the status and message
    with which every judgement fails.
    """

    versions: tuple[int, ...] = (1,)
    usage: int | None = None
    error: tuple[int, str] | None = None


NONE_DECLARED: Mapping[str, Declared] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the answers: the same settings and requests give the same bytes.

    `seed`: any integer. `validation`: how a request is held against the contract: `strict` as documented;
    `lenient` as the service does it, unknown members dropped and top-level scalars coerced; `report` answers
    as lenient does and notes what strict would refuse. `max_body_bytes`: longer bodies get 413. `ids`,
    `clock`: `random` and `real` give up sameness of ids and times. `repeat`: `vary` gives the n-th identical
    request an answer of its own. `known_models`: globs; while there are none every model exists. `delays`:
    globs of models → seconds that their completions take; the first that fits counts. `criteria`: by name;
    while there are none every id is judged. `keys`: while there are none every bearer token will do, except
    those that begin with `invalid`.
    """

    seed: int = 0
    validation: Validation = "strict"
    answers: int = ANSWERS
    max_body_bytes: int = 10 * MEBIBYTE
    ids: Ids = "content"
    clock: Clock = "fixed"
    repeat: Repeat = "same"
    known_models: tuple[str, ...] = ()
    delays: Mapping[str, float] = field(default_factory=dict)
    criteria: Mapping[str, Declared] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
