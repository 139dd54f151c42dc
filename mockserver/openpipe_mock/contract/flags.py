"""The flags of a run: one list for the command `contract` and for pytest, there behind `--openpipe-`."""

from dataclasses import dataclass

from openpipe_mock.core.levels import LEVELS


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that sets a field of RunOptions, whose default holds where it is left out.

    metavar  what stands for its value in the help, "" for a switch
    field    the field, where it isn't named as the flag
    short    a second spelling, for the command alone
    """

    name: str
    help: str
    metavar: str = ""
    kind: type = str
    choices: tuple[str, ...] = ()
    repeated: bool = False
    field: str = ""
    short: str = ""

    @property
    def option(self) -> str:
        """The name of its field of RunOptions."""
        return self.field or self.name.replace("-", "_")


FLAGS = (
    Flag(
        "criterion",
        "An id that the server knows, `name` or `name@vN`.",
        "ID",
        repeated=True,
        field="criteria",
    ),
    Flag("model", "A model that the server knows.", "NAME", repeated=True, field="models"),
    Flag("latest", "Which version of a criterion is the latest.", "ID=vN", repeated=True),
    Flag("endpoint", "Judge this endpoint alone, as if there were no other.", choices=("judge", "chat")),
    Flag(
        "level",
        "Which checks decide: documented, plus sdk (default), plus source, plus decision."
        " Others are only reported.",
        choices=LEVELS,
    ),
    Flag("only", "Send and report these checks alone; * is a wildcard.", "ID", repeated=True),
    Flag("match", "Checks whose names fit, as in 'stream and not role'.", "EXPR", short="-k"),
    Flag("seed", "Chooses among requests of one kind. Default: 0.", "N", int),
    Flag("thorough", "Send every edit of the schemas, not one of each kind.", kind=bool),
    Flag("fuzz", "That many requests made by Hypothesis as well.", "N", int),
    Flag("large", "Texts above 8k characters also for servers elsewhere.", kind=bool),
    Flag("max-requests", "The budget. Default: 400, and 60 for servers elsewhere.", "N", int),
    Flag("jobs", "Requests under way at once. Default: 4, and 1 for servers elsewhere.", "N", int),
    Flag("rate", "At most so many requests a second, over all jobs.", "N", float),
    Flag("timeout", "For one whole answer. Default: 10, and 60 for servers elsewhere.", "SECONDS", float),
    Flag("api-key", "Default: OPENPIPE_API_KEY, for the service's own hosts and this machine.", "KEY"),
    Flag("send-key", "Send OPENPIPE_API_KEY to any host.", kind=bool),
)
