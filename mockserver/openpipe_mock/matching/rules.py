"""Rules in their order, of which those that hold for a request are found without trying each one.

A rule holds only where each of its demands is met. So it is kept under one of them, that which the fewest
rules share: a text that must be equal in a dictionary; one that must be contained, or a pattern, in a set
that RE2 looks for in one pass. What a request shows names the rules that may hold, and only these are tried.
One that is named in vain costs time alone: an index may name too many rules, but never too few.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from openpipe_mock.matching.conditions import READERS, Demand, Kind, Subject, When

FEW = 8
"""Rules, or keys of a part, that are tried one by one sooner than looked up."""
LONGEST_KEY = 200
"""Characters by which a text is looked for that must be contained: the last, as beginnings are shared."""
MOST_SEARCHED = 2000
"""Characters of a text in which patterns are looked for together. In a longer one they could get in each
other's way: a set of patterns remembers of each how far it came, one alone gives up what leads nowhere."""
_MOST_INDEXED = 50_000
"""Rules whose indexes are kept, of all books: settings of the past live on in the journal, and need none."""
_MOST_MEMORY = 32 * 2**20
"""Bytes that RE2 may use for a set."""


class _Rule(Protocol):
    """Whatever counts only while its conditions hold."""

    @property
    def when(self) -> When: ...


Ruled = TypeVar("Ruled", bound=_Rule)


def rules_that_hold(rules: Sequence[Ruled], subject: Subject) -> Iterator[Ruled]:
    """Those of the rules whose conditions hold, in their order; quickly in a `Rulebook`."""
    near = rules.near(subject) if isinstance(rules, Rulebook) else rules
    return (rule for rule in near if rule.when.holds(subject))


class Rulebook(tuple[Ruled, ...]):
    """Rules in their order. What makes them quick to find is worked out when it is first asked for.

    `layers`: the books that this one was put together from, () for one that stands alone.
    """

    layers: "tuple[Rulebook[Ruled], ...]" = ()
    made: "Index | None" = None

    def under(self, rules: Iterable[Ruled]) -> "Rulebook[Ruled]":
        """The same with others in front. What was worked out of these is shared, not done again."""
        front = Rulebook(rules)
        book = Rulebook((*front, *self))
        book.layers = (front, *(self.layers or (self,)))
        return book

    def near(self, subject: Subject) -> Iterator[Ruled]:
        """Some of the rules in their order, among them all that hold."""
        for book in self.layers or (self,):
            if len(book) <= FEW:
                yield from book
            else:
                yield from map(book.__getitem__, book.indexed().near(subject))

    def indexed(self) -> "Index":
        """What finds the rules: kept while it is among the newest, else made anew."""
        index = self.made
        if index is None:
            index = self.made = Index([rule.when for rule in self])
            _newest.append(self)
            while len(_newest) > 1 and sum(map(len, tuple(_newest))) > _MOST_INDEXED:
                _newest.popleft().made = None
        return index


_newest: deque[Rulebook[Any]] = deque()
"""The books that have an index, the newest last."""


def rulebook(rules: Iterable[Ruled]) -> Rulebook[Ruled]:
    """Rules as a book; one that is a book already stays itself."""
    return rules if isinstance(rules, Rulebook) else Rulebook(rules)


class _Mark(NamedTuple):
    """A demand by which a rule is found. `part` and `key` say where in the request, as in a condition."""

    part: str
    key: str
    kind: Kind
    wanted: str


KINDS: tuple[Kind, ...] = ("equals", "contains", "glob", "matches")
"""The kinds of demands, those first by which a rule is found most quickly."""


def _marks(when: When) -> Iterator[_Mark]:
    """The demands of all conditions."""
    for condition in when.conditions:
        key = condition.key.lower() if condition.part == "header" else condition.key
        for demand in condition.demands:
            yield _Mark(condition.part, key, _kind_of(demand), demand.wanted)


def _kind_of(demand: Demand) -> Kind:
    """The kind of a demand; a glob without wildcards wants an equal text."""
    is_plain = demand.kind == "glob" and not any(wild in demand.wanted for wild in "*?[")
    return "equals" if is_plain else demand.kind


class Index:
    """The rules of a list, by number, under what their conditions demand.

    `others` are those that demand nothing; shelves hold the rest, by the part of a request and its key.
    """

    def __init__(self, whens: Sequence[When]) -> None:
        self.others: list[int] = []
        found: defaultdict[str, defaultdict[str, list[tuple[_Mark, int]]]]
        found = defaultdict(lambda: defaultdict(list))
        sharing = Counter(mark for when in whens for mark in set(_marks(when)))

        def cost(mark: _Mark) -> tuple[int, int, int]:
            return sharing[mark], KINDS.index(mark.kind), -len(mark.wanted)

        for number, when in enumerate(whens):
            mark = min(_marks(when), key=cost, default=None)
            if mark is None:
                self.others.append(number)
            else:
                found[mark.part][mark.key].append((mark, number))
        self.parts = {
            part: {key: _Shelf(marked) for key, marked in shelves.items()} for part, shelves in found.items()
        }

    def near(self, subject: Subject) -> list[int]:
        """The numbers of some rules, rising, among them all that hold."""
        found = set(self.others)
        for part, shelves in self.parts.items():
            read = READERS[part]
            many = part in INDEX_KEYS and len(shelves) > FEW
            for key in shelves.keys() & set(INDEX_KEYS[part](subject)) if many else shelves:
                for text in read(subject, key):
                    found.update(shelves[key].near(text))
        return sorted(found)


def _members(subject: Subject) -> Iterable[str]:
    metadata = subject.body.get("metadata")
    return metadata if isinstance(metadata, dict) else ()


INDEX_KEYS: Mapping[str, Callable[[Subject], Iterable[str]]] = {
    "header": lambda subject: (name.decode("utf-8", "replace") for name in subject.headers),
    "metadata": _members,
}
"""Part of a request that may have any keys → those that are there, as a mark says them."""


class _Shelf:
    """Rules that look at the same texts of a request.

    `equal`: by the text that they want. `always`: those that any text may meet.
    """

    def __init__(self, marked: Iterable[tuple[_Mark, int]]) -> None:
        self.equal: defaultdict[str, list[int]] = defaultdict(list)
        self.always: list[int] = []
        words: list[tuple[_Mark, int]] = []
        patterns: list[tuple[_Mark, int]] = []
        for mark, number in marked:
            if mark.kind == "equals":
                self.equal[mark.wanted].append(number)
            else:
                (words if mark.kind == "contains" else patterns).append((mark, number))
        self.searches = [*self.searched(words, None), *self.searched(patterns, MOST_SEARCHED)]

    def searched(self, marked: Sequence[tuple[_Mark, int]], most: int | None) -> Iterator["_Search"]:
        """A search for the marks, where it pays for itself."""
        if len(marked) <= FEW:
            self.always += [number for _, number in marked]
        else:
            yield _Search(marked, most)

    def near(self, text: str) -> Iterator[int]:
        """Rules that this text may meet."""
        yield from self.always
        yield from self.equal.get(text, ())
        for search in self.searches:
            yield from search.near(text)


class _Search:
    """What is looked for in one pass, with the rules that it stands for.

    In a text of more than `most` characters it isn't, and any of the rules may hold.
    """

    def __init__(self, marked: Iterable[tuple[_Mark, int]], most: int | None) -> None:
        self.most = most
        self.rules: list[list[int]] = [[]]
        """The numbers of rules by those of patterns; the first pattern is empty, and in every text."""
        numbers: dict[bytes, int] = {b"": 0}
        for mark, rule in marked:
            number = numbers.setdefault(_pattern(mark), len(self.rules))
            if number == len(self.rules):
                self.rules.append([])
            self.rules[number].append(rule)
        self.all = [rule for rules in self.rules for rule in rules]
        self.found = united(numbers)

    def near(self, text: str) -> Iterable[int]:
        """Rules that this text may meet."""
        if self.most is not None and len(text) > self.most:
            return self.all
        found = self.found(text.encode("utf-8", "replace"))
        # Where not even the empty pattern was found, RE2 had no memory left for looking.
        return [rule for number in found for rule in self.rules[number]] if found else self.all


def united(patterns: Iterable[bytes]) -> Callable[[bytes], Sequence[int] | None]:
    """What finds the numbers of those patterns that are in a text; it finds none where they are too large."""
    import re2  # only a config with many rules pays for it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    found: Any = re2.Set.SearchSet(options)
    try:
        for each in patterns:
            found.Add(each)
        found.Compile()
    except re2.error:
        return lambda text: None
    search: Callable[[bytes], Sequence[int] | None] = found.Match
    return search


def _pattern(mark: _Mark) -> bytes:
    """What RE2 looks for in place of a demand: it finds no less. Half of a surrogate pair is no character."""
    try:
        return PATTERNS[mark.kind](mark.wanted)
    except UnicodeEncodeError:
        return b""


def _contained(wanted: str) -> bytes:
    return _escaped(wanted[-LONGEST_KEY:])


def _globbed(wanted: str) -> bytes:
    """A glob up to its first bracket, behind which anything may stand."""
    plain, bracket, _ = wanted.partition("[")
    told = b"".join(_WILD[each] if each in _WILD else _escaped(each) for each in plain)
    return b"\\A" + told + (b"" if bracket else b"\\z")


_WILD = {"*": b"(?s:.*)", "?": b"(?s:.)"}


def _escaped(text: str) -> bytes:
    import re2

    found: bytes = re2.escape(text.encode())
    return found


PATTERNS: Mapping[Kind, Callable[[str], bytes]] = {
    "contains": _contained,
    "glob": _globbed,
    "matches": str.encode,
}
