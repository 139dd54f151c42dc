"""A fault: which requests it strikes, and what goes wrong with their answers."""

from dataclasses import dataclass, field, replace

from openpipe_mock.answers.pace import Duration, Span, durations, seconds_of
from openpipe_mock.core.effects import Effects, Wait
from openpipe_mock.core.reading import At, Json, part_digest, present_keys, whole
from openpipe_mock.faults.kinds import FAULT_KINDS, Context, FaultKind
from openpipe_mock.matching.conditions import ALWAYS, When, part_when
from openpipe_mock.matching.order import check_turns


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request that meets `when`, at its turn.

    When it strikes: `call`: at the n-th such request alone. `every`: at each n-th. `first`: at the first n.
    `share`: at this share of contents. Where several are given, all must hold.

    What it does: `delay`: waits so many seconds before anything else. `kinds`: what goes wrong then, in the
    order of `FAULT_KINDS`.

    `name`: the user's name for it. `place`: its JSON pointer. `counter`: the name of its count. `share_key`:
    what its share is drawn by; it is made from the fault's own text, so that a fault that moves in the file
    strikes the same contents. `source`: the JSON that it was read from.
    """

    when: When = ALWAYS
    call: int | None = None
    every: int | None = None
    first: int | None = None
    share: float | None = None
    delay: Duration = 0.0
    kinds: tuple[FaultKind, ...] = ()
    name: str = ""
    place: str = ""
    counter: str = ""
    share_key: str = ""
    source: Json = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.place} ({self.name})" if self.name else self.place

    @property
    def needs_stream(self) -> bool:
        """Whether only a stream can have it."""
        return any(kind.needs_stream for kind in self.kinds)

    def describe(self) -> str:
        """Say what it does and where it stands, for log and journal: `status 429 (fault /faults/0)`."""
        time = self.delay if isinstance(self.delay, Span) else f"{self.delay * 1000:g}"
        delay = [f"delay of {time} ms"] if self.delay else []
        told = ", ".join([*delay, *(kind.describe() for kind in self.kinds)]) or "nothing"
        return f"{told} (fault {self})" if str(self) else told


def read_fault(value: Json, at: At) -> Fault:
    """Build a fault from a value whose shape is right; note in `at` what else is wrong with it."""
    check_turns(value, at, "fault")
    return Fault(
        part_when(value, at),
        **whole(value, call="call", every="every", first="first"),
        **present_keys(value, share="share", name="name"),
        **durations(value, at, delay_ms="delay"),
        kinds=tuple(kind.read(value, at) for kind in FAULT_KINDS if kind.key in value),
        place=at.place,
        counter=at.counter(value),
        share_key=part_digest(value),
        source=value,
    )


def with_fault(exchange: Effects, fault: Fault, context: Context) -> Effects:
    """Run the exchange that answers a request, with a fault in it.

    Where the fault leaves nothing of the answer (an error, a raw body, a disconnect before it), the exchange
    isn't started. Otherwise it runs, and the fault changes what it answers, errors too. A reply with status 0
    means that the connection broke before the answer.
    """
    if fault.delay:
        yield Wait(seconds_of(fault.delay, context.draw, "delay"))
    for kind in fault.kinds:
        exchange = kind.around(exchange, context)
    reply = yield from exchange
    vain = ", which a stream alone can have" if fault.needs_stream and not context.streams else ""
    told = filter(None, (reply.subject.removesuffix("."), f"{fault.describe()}{vain}"))
    return replace(reply, subject=", ".join(told))
