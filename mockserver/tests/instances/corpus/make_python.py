# ruff: noqa: B006, B023, UP007, UP042, UP045 (all spellings that clients use are wanted)
"""Write the JSON Schemas that Python client libraries send, by their own code: see README.md."""

import dataclasses
import datetime
import decimal
import enum
import importlib.metadata
import ipaddress
import json
import pathlib
import sys
import typing
import uuid
from collections.abc import Iterable
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import openai
from agents import AgentOutputSchema, function_tool
from annotated_types import Len
from instructor import Maybe, Mode, Partial
from instructor.processing.response import handle_response_model
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI
from openai.lib._parsing._completions import type_to_response_format_param
from openai.lib._pydantic import to_strict_json_schema
from pydantic import (
    UUID4,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    DirectoryPath,
    Discriminator,
    EmailStr,
    Field,
    FilePath,
    FutureDate,
    HttpUrl,
    Json,
    NegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PostgresDsn,
    RootModel,
    SecretStr,
    StringConstraints,
    Tag,
    TypeAdapter,
    computed_field,
    conint,
    conlist,
    constr,
    create_model,
)
from typing_extensions import NamedTuple, TypedDict

HERE = pathlib.Path(__file__).parent
T = TypeVar("T")
Schemas = dict[str, Any]


class Color(str, enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Priority(enum.IntEnum):
    LOW = 1
    MIDDLE = 2
    HIGH = 3


class Mixed(enum.Enum):
    A = "a"
    ONE = 1


class Single(str, enum.Enum):
    ONLY = "only"


class User(BaseModel):
    name: str
    age: int


class Primitives(BaseModel):
    """All plain types."""

    text: str
    whole: int
    real: float
    flag: bool
    nothing: None
    anything: Any


class Described(BaseModel):
    """A person, with descriptions."""

    name: str = Field(description="The full name", examples=["Ada Lovelace", "Alan Turing"])
    email: str = Field(
        ..., description="Where to write", title="E-mail", json_schema_extra={"format": "email"}
    )
    nickname: str = Field(default="", max_length=20)


class Address(BaseModel):
    street: str
    city: str
    zip_code: str = Field(pattern=r"^\d{5}(-\d{4})?$")
    country: Annotated[str, StringConstraints(min_length=2, max_length=2, to_upper=True)] = "US"


class Company(BaseModel):
    name: str
    offices: list[Address]
    headquarters: Address | None = None


class Optionals(BaseModel):
    a: str | None = None
    b: int | None = None
    c: list[str] | None = None
    d: float | None
    e: Color | None = None
    f: dict[str, int] | None = None


class Defaults(BaseModel):
    limit: int = 10
    query: str = ""
    dry_run: bool = False
    ratio: float = 0.5
    tags: list[str] = []
    meta: dict[str, str] = Field(default_factory=dict)
    color: Color = Color.GREEN
    address: Address = Address(street="Main", city="Town", zip_code="12345")
    pair: tuple[int, str] = (1, "a")


class Enums(BaseModel):
    color: Color
    priority: Priority
    mixed: Mixed
    single: Single


class Literals(BaseModel):
    one: Literal["only"]
    some: Literal["fast", "slow"]
    numbers: Literal[1, 2, 3]
    mixed: Literal["a", 1, True, None]
    defaulted: Literal["x", "y"] = "y"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(9, ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    breed: str


class Bird(BaseModel):
    kind: Literal["bird", "parrot"]
    can_fly: bool


Pet = Annotated[Cat | Dog | Bird, Field(discriminator="kind")]


class Owner(BaseModel):
    pet: Pet
    others: list[Pet] = []


class PlainUnion(BaseModel):
    value: int | str
    pet: Cat | Dog
    many: list[Cat | Dog | None]
    number: int | float
    keyed: dict[str, int | list[str]]


def _which(value: Any) -> str:
    return "dog" if isinstance(value, dict) and "breed" in value else "cat"


class CallableDiscriminator(BaseModel):
    pet: Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(_which)]


class Black(BaseModel):
    type: Literal["black"]
    depth: float


class White(BaseModel):
    type: Literal["white"]
    level: int


class NestedUnion(BaseModel):
    item: Annotated[Annotated[Black | White, Field(discriminator="type")] | Cat, Field()]
    pets: dict[str, Pet]


class Dates(BaseModel):
    at: datetime.datetime
    on: datetime.date
    time: datetime.time
    wait: datetime.timedelta
    aware: AwareDatetime
    soon: FutureDate
    default: datetime.date = datetime.date(2024, 5, 1)
    maybe: datetime.datetime | None = None


class BoundedNumbers(BaseModel):
    percent: int = Field(ge=0, le=100)
    above: int = Field(gt=10)
    below: float = Field(lt=0)
    score: float = Field(ge=0.0, le=1.0)
    even: int = Field(multiple_of=2, gt=3)
    cents: float = Field(multiple_of=0.01, ge=0)
    positive: PositiveInt
    positive_float: PositiveFloat
    negative: NegativeFloat
    natural: NonNegativeInt
    narrow: conint(gt=10, lt=12)
    size: ByteSize


class BoundedStrings(BaseModel):
    slug: constr(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")
    short: constr(min_length=1, max_length=5)
    long: str = Field(min_length=100)
    exact: str = Field(min_length=8, max_length=8)
    code: str = Field(pattern=r"^[A-Z]{3}-\d{3,5}$")
    phone: str = Field(pattern=r"^\+?[1-9]\d{1,14}$")
    time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    colour: str = Field(pattern="^#(?:[0-9a-fA-F]{3}){1,2}$")
    semver: str = Field(pattern=r"^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$")
    stripped: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
    isbn: str = Field(pattern=r"^(97(8|9))?\d{9}(\d|X)$")
    iban: str = Field(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$", description="IBAN")
    currency: str = Field(pattern=r"^[A-Z]{3}$", min_length=3, max_length=3)
    either: str = Field(pattern="^(yes|no|maybe)$")


class Formats(BaseModel):
    id: uuid.UUID
    random: UUID4
    link: HttpUrl
    any_url: AnyUrl
    v4: ipaddress.IPv4Address
    v6: ipaddress.IPv6Address
    network: ipaddress.IPv4Network
    path: pathlib.Path
    raw: bytes
    encoded: Base64Bytes
    secret: SecretStr
    amount: decimal.Decimal
    json_text: Json[list[int]]


class EMail(BaseModel):
    email: EmailStr


class Urls(BaseModel):
    dsn: PostgresDsn
    file: FilePath
    folder: DirectoryPath


class Decimals(BaseModel):
    price: decimal.Decimal = Field(gt=0, max_digits=8, decimal_places=2)
    rate: decimal.Decimal | None = None


class Lists(BaseModel):
    tags: list[str]
    bounded: list[int] = Field(min_length=2, max_length=4)
    matrix: list[list[float]]
    unique: set[int]
    frozen: frozenset[Color]
    some: conlist(str, min_length=1)
    anything: list[Any]
    bare: list
    deep: list[list[list[User]]]
    three: Annotated[list[int], Len(3, 3)]
    sequence: typing.Sequence[str]


class BoundedItems(BaseModel):
    emails: list[Annotated[str, Field(pattern=r"^[\w.+-]+@[\w-]+\.[\w.]{2,}$")]]
    grades: Annotated[list[Annotated[int, Field(ge=1, le=6)]], Field(min_length=3)]
    unique: set[Literal["a", "b", "c"]] = Field(min_length=2)


class Point(NamedTuple):
    x: float
    y: float


class Tuples(BaseModel):
    pair: tuple[int, str]
    triple: tuple[float, float, float]
    open: tuple[int, ...]
    empty: tuple[()]
    nested: tuple[User, tuple[bool, Color]]
    point: Point


class Dicts(BaseModel):
    counts: dict[str, int]
    models: dict[str, User]
    any: dict[str, Any]
    bare: dict
    by_int: dict[int, str]
    by_enum: dict[Color, float]
    by_literal: dict[Literal["x", "y"], int]
    nested: dict[str, dict[str, list[int]]]
    patterned: dict[Annotated[str, StringConstraints(pattern=r"^[A-Z_]+$")], str]
    bounded: dict[str, str] = Field(min_length=1, max_length=3)
    by_date: dict[datetime.date, int]


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Chain(BaseModel):
    value: str
    next: Optional["Chain"] = None


class Folder(BaseModel):
    name: str
    files: list["File"]
    folders: dict[str, "Folder"]


class File(BaseModel):
    name: str
    parent: Optional["Folder"]


class Literal_(BaseModel):
    type: Literal["number"]
    value: float


class Binary(BaseModel):
    type: Literal["binary"]
    op: Literal["+", "-", "*", "/"]
    left: "Expression"
    right: "Expression"


class Expression(RootModel):
    root: Annotated[Binary | Literal_, Field(discriminator="type")]


Binary.model_rebuild()


class Calculation(BaseModel):
    expression: Expression


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", title="A closed model")
    a: str
    b: int = 3


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: str


class OpenTyped(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]
    a: str


class Aliases(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    first: str = Field(alias="firstName")
    at: str = Field(alias="@type")
    slash: int = Field(alias="a/b~c")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=lambda name: "".join(part.title() for part in name.split("_")))
    first_name: str
    date_of_birth: datetime.date


class Base(BaseModel):
    id: int


class Derived(Base):
    """Inherits a member."""

    name: str


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int = Field(ge=0)
    next: str | None = None


class Computed(BaseModel):
    width: float
    height: float = 1

    @computed_field
    @property
    def area(self) -> float:
        return self.width * self.height


class Docs(BaseModel):
    city: str = Field(examples=["Paris", "Rome"])
    deprecated: str | None = Field(default=None, deprecated=True)
    extra: int = Field(json_schema_extra={"example": 5, "x-hint": "small"})
    deep: Address = Field(description="Where")
    pick: Color = Field(Color.BLUE, description="A colour")
    readonly: str = Field("x", frozen=True)


class Names(RootModel[list[str]]):
    pass


class Username(RootModel[Annotated[str, Field(min_length=3)]]):
    pass


class Mapping_(RootModel[dict[str, User]]):
    pass


class PetRoot(RootModel[Pet]):
    pass


class Empty(BaseModel):
    pass


@dataclasses.dataclass
class Data:
    """A data class."""

    name: str
    values: list[int] = dataclasses.field(default_factory=list)


class Movie(TypedDict):
    title: str
    year: int


class PartialMovie(TypedDict, total=False):
    title: str
    rating: typing.Annotated[float, Field(ge=0, le=10)]
    tags: list[str]


class Holder(BaseModel):
    data: Data
    movie: Movie
    partial: PartialMovie


# As in the clients' documentation and in usual applications
class Step(BaseModel):
    explanation: str
    output: str


class MathResponse(BaseModel):
    steps: list[Step]
    final_answer: str


class CalendarEvent(BaseModel):
    name: str
    date: str
    participants: list[str]


class Paper(BaseModel):
    title: str
    authors: list[str]
    abstract: str
    keywords: list[str]


class UIType(str, enum.Enum):
    DIV = "div"
    BUTTON = "button"
    FORM = "form"


class Attribute(BaseModel):
    name: str
    value: str


class UI(BaseModel):
    type: UIType
    label: str
    children: list["UI"]
    attributes: list[Attribute]


class Category(str, enum.Enum):
    VIOLENCE = "violence"
    SELF_HARM = "self_harm"


class Compliance(BaseModel):
    is_violating: bool
    category: Category | None
    explanation_if_violating: str | None


class Operator(str, enum.Enum):
    EQ = "="
    GT = ">"
    LE = "<="


class DynamicValue(BaseModel):
    column_name: str


class Condition(BaseModel):
    column: str
    operator: Operator
    value: str | int | DynamicValue


class Query(BaseModel):
    """Build a query of a table."""

    table_name: Literal["orders", "customers"]
    columns: list[Literal["id", "status", "expected_delivery_date"]]
    conditions: list[Condition]
    order_by: Literal["asc", "desc"] | None = None
    limit: int | None = Field(None, ge=1, le=1000)


class Entity(BaseModel):
    id: int = Field(..., description="Unique identifier")
    subquote: list[str] = Field(default_factory=list)
    resolved: str
    relations: list[int] = Field(default_factory=list, description="Ids of related entities")


class Extraction(BaseModel):
    entities: list[Entity]
    sentiment: Literal["positive", "neutral", "negative"]
    confidence: float = Field(ge=0, le=1)


class Invoice(BaseModel):
    number: str = Field(pattern=r"^INV-\d{6}$")
    issued: datetime.date
    due: datetime.date | None = None
    lines: list["Line"] = Field(min_length=1)
    currency: Literal["EUR", "USD", "GBP"] = "EUR"
    total: decimal.Decimal
    customer: Described


class Line(BaseModel):
    text: str
    quantity: PositiveInt = 1
    unit_price: float = Field(ge=0)
    tax: float | None = Field(None, ge=0, le=1)


class Evaluation(BaseModel):
    reasoning: str = Field(description="Think first")
    score: int = Field(ge=1, le=10)
    passed: bool
    issues: list[Literal["tone", "facts", "length"]] = []


class Router(BaseModel):
    """Route a question."""

    datasource: Literal["vectorstore", "web_search"] = Field(..., description="Where to look")


class Plan(BaseModel):
    goal: str
    tasks: list["Task"]


class Task(BaseModel):
    id: int
    text: str
    depends_on: list[int] = []
    subtasks: list["Task"] = []
    status: Literal["todo", "done"] = "todo"
    estimate: datetime.timedelta | None = None


class Answer(BaseModel):
    result: MathResponse | CalendarEvent


def wide() -> type[BaseModel]:
    types: list[Any] = [str, int, float, bool, list[str], Color, datetime.date, Optional[int]]
    return create_model("Wide", **{f"field_{at}": (types[at % len(types)], ...) for at in range(60)})


def deep() -> type[BaseModel]:
    inner: Any = str
    for level in range(7):
        inner = create_model(f"Level{level}", value=(int, ...), inner=(inner, ...))
    return inner


class Vector(BaseModel):
    values: Annotated[list[float], Len(4, 4)]


class Resume(BaseModel):
    name: str
    email: EmailStr
    links: list[HttpUrl] = []
    jobs: list["Job"]
    skills: dict[str, Annotated[int, Field(ge=1, le=5)]]


class Job(BaseModel):
    company: str
    title: str
    start: datetime.date
    end: datetime.date | Literal["present"]


MODELS: list[Any] = [
    *(
        User,
        Primitives,
        Described,
        Address,
        Company,
        Optionals,
        Defaults,
        Enums,
        Literals,
        Cat,
        Owner,
        PlainUnion,
    ),
    *(
        CallableDiscriminator,
        NestedUnion,
        Dates,
        BoundedNumbers,
        BoundedStrings,
        Formats,
        EMail,
        Urls,
        Decimals,
    ),
    *(
        Lists,
        BoundedItems,
        Tuples,
        Dicts,
        Node,
        Chain,
        Folder,
        Calculation,
        Strict,
        Open,
        OpenTyped,
        Aliases,
        Camel,
    ),
    *(Derived, Page[User], Page[int], Computed, Docs, Names, Username, Mapping_, PetRoot, Empty, Holder),
    *(
        MathResponse,
        CalendarEvent,
        Paper,
        UI,
        Compliance,
        Query,
        Extraction,
        Invoice,
        Evaluation,
        Router,
        Plan,
    ),
    *(Answer, wide(), deep(), Vector, Resume),
]
ADAPTED: dict[str, Any] = {
    "list of models": list[User],
    "union": int | str | None,
    "discriminated union": Pet,
    "dict of lists": dict[str, list[User]],
    "literal": Literal["a", "b"],
    "typed dict": PartialMovie,
    "named tuple": Point,
    "data class": Data,
    "enum": Priority,
    "optional date": Optional[datetime.date],
    "annotated integer": Annotated[int, Field(ge=1, le=6)],
    "bool": bool,
    "tuple": tuple[int, Color],
}


# Tools as functions
def get_weather(location: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Get the weather.

    Args:
        location: The city and state, e.g. San Francisco, CA
        unit: The unit of the temperature
    """
    return ""


def search_documents(
    query: str, limit: int = 10, filters: dict[str, str] | None = None, tags: list[str] = []
) -> str:
    """Search documents.

    Args:
        query: What to look for
        limit: How many at most
        filters: Names and values
        tags: Tags
    """
    return ""


def create_user(user: Described, address: Address, colors: list[Color], notify: bool = True) -> str:
    """Create a user."""
    return ""


def no_arguments() -> str:
    """Return the time."""
    return ""


def untyped(value, other=None) -> str:
    """Take anything."""
    return ""


def send(to: list[str], subject: str, body: str | None = None, at: datetime.datetime | None = None) -> str:
    """Send a mail."""
    return ""


def calculate(a: float, b: float, op: Literal["add", "sub"]) -> float:
    """Calculate."""
    return 0


def annotated(
    count: Annotated[int, Field(ge=1, le=5, description="How often")],
    name: Annotated[str, Field(pattern=r"^[a-z_]+$")],
    choice: Color = Color.RED,
) -> str:
    """Bounds on arguments."""
    return ""


def typed_dict(movie: Movie, where: tuple[float, float]) -> str:
    """Take a typed dict and a tuple."""
    return ""


def tree(root: Node, pet: Cat | Dog) -> str:
    """Take a tree and a union."""
    return ""


FUNCTIONS = [
    *(get_weather, search_documents, create_user, no_arguments, untyped, send, calculate, annotated),
    *(typed_dict, tree),
]


def title(model: Any) -> str:
    return getattr(model, "__name__", str(model))


def bare(schema: Any) -> Any:
    """A schema without its titles and descriptions, in which two that are told apart must differ."""
    if isinstance(schema, list):
        return [bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    wordy = ("title", "description")
    return {
        name: bare(part) for name, part in schema.items() if not (name in wordy and isinstance(part, str))
    }


def tried(made: Schemas, name: str, make: Any) -> None:
    """Keep a schema; a library that refuses a model sends nothing."""
    try:
        schema = make()
    except Exception as error:
        print(f"  {name}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
        return
    if schema is not None:
        made[name] = json.loads(json.dumps(schema))


def of_pydantic() -> Schemas:
    made: Schemas = {}
    for model in MODELS:
        tried(made, title(model), model.model_json_schema)
        tried(made, f"{title(model)}, serialized", lambda: model.model_json_schema(mode="serialization"))
    for name, kind in ADAPTED.items():
        tried(made, name, lambda: TypeAdapter(kind).json_schema())
    return made


def of_openai() -> Schemas:
    made: Schemas = {}
    for model in MODELS:
        tried(
            made,
            f"response format {title(model)}",
            lambda: type_to_response_format_param(model)["json_schema"]["schema"],
        )
    for model in (Query, Owner, Defaults, Plan, Tuples, Dicts):
        tried(
            made,
            f"tool {title(model)}",
            lambda: openai.pydantic_function_tool(model)["function"]["parameters"],
        )
    for name in ("list of models", "typed dict", "data class"):
        tried(made, f"adapter, {name}", lambda: to_strict_json_schema(TypeAdapter(ADAPTED[name])))
    return made


def of_agents() -> Schemas:
    made: Schemas = {}
    for function in FUNCTIONS:
        for strict in (True, False):
            tried(
                made,
                f"tool {function.__name__}{'' if strict else ', not strict'}",
                lambda: function_tool(function, strict_mode=strict).params_json_schema,
            )
    for kind in (
        User,
        Owner,
        Plan,
        list[User],
        int,
        dict[str, int],
        Calculation,
        Movie,
        Union[Cat, Dog],
        Data,
    ):
        for strict in (True, False):
            tried(
                made,
                f"output {title(kind)}{'' if strict else ', not strict'}",
                lambda: AgentOutputSchema(kind, strict_json_schema=strict).json_schema(),
            )
    return made


def of_langchain() -> Schemas:
    made: Schemas = {}
    for function in FUNCTIONS:
        tried(
            made,
            f"function {function.__name__}",
            lambda: convert_to_openai_tool(function)["function"]["parameters"],
        )
        tried(
            made,
            f"@tool {function.__name__}",
            lambda: convert_to_openai_tool(tool(function))["function"]["parameters"],
        )
    for model in (
        User,
        Owner,
        Query,
        Plan,
        Invoice,
        Dicts,
        Tuples,
        Optionals,
        Defaults,
        Calculation,
        Dates,
        UI,
        Movie,
    ):
        for strict in (None, True):
            tried(
                made,
                f"convert_to_openai_tool {title(model)}{', strict' if strict else ''}",
                lambda: convert_to_openai_tool(model, strict=strict)["function"]["parameters"],
            )
    for model in (Evaluation, Router, MathResponse):
        tried(made, f"with_structured_output {title(model)}", lambda: structured(model))
    return made


def structured(model: Any) -> Any:
    """What `ChatOpenAI(...).with_structured_output(model)` sends as a tool."""
    bound: Any = ChatOpenAI(model="m", api_key="k").with_structured_output(model, method="function_calling")
    return bound.first.kwargs["tools"][0]["function"]["parameters"]


def of_instructor() -> Schemas:
    made: Schemas = {}
    models = [User, Owner, Query, Plan, Extraction, Optionals, Node, Resume, Lists, BoundedStrings]
    for model in models:
        for mode in (Mode.TOOLS, Mode.TOOLS_STRICT, Mode.JSON_SCHEMA):
            tried(made, f"{mode.name} {title(model)}", lambda: instructed(handle_response_model, model, mode))
    kinds: dict[str, Any] = {
        "iterable": lambda: Iterable[User],
        "partial": lambda: Partial[Extraction],
        "maybe": lambda: Maybe(User),
        "list": lambda: list[User],
        "simple": lambda: int,
        "literal": lambda: Literal["spam", "ham"],
        "enum": lambda: Color,
        "union": lambda: Union[Cat, Dog],
    }
    for name, kind in kinds.items():
        tried(made, f"TOOLS {name}", lambda: instructed(handle_response_model, kind(), Mode.TOOLS))
    return made


def instructed(handle: Any, model: Any, mode: Mode) -> Any:
    """The schema in what instructor sends for a model."""
    _, sent = handle(model, mode=mode, messages=[{"role": "user", "content": "x"}])
    if "tools" in sent:
        return sent["tools"][0]["function"]["parameters"]
    if "functions" in sent:
        return sent["functions"][0]["parameters"]
    found = sent.get("response_format", {})
    return found.get("schema") or found.get("json_schema", {}).get("schema")


LIBRARIES = {
    "pydantic": of_pydantic,
    "openai": of_openai,
    "instructor": of_instructor,
    "langchain-core": of_langchain,
    "openai-agents": of_agents,
}


def main() -> None:
    known: set[str] = set()
    for library, make in LIBRARIES.items():
        print(library, file=sys.stderr)
        schemas = {}
        for name, schema in make().items():
            text = json.dumps(bare(schema), sort_keys=True)
            if text not in known:
                known.add(text)
                schemas[name] = schema
        pairs = (
            f" {json.dumps(name)}: {json.dumps(schema, ensure_ascii=False)}"
            for name, schema in schemas.items()
        )
        lines = ",\n".join(pairs)
        version = importlib.metadata.version(library)
        text = f'{{"library": "{library}", "version": "{version}", "schemas": {{\n{lines}\n}}}}\n'
        (HERE / f"python-{library}.json").write_text(text)
        print(f"  {len(schemas)} schemas, {len(text)} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
