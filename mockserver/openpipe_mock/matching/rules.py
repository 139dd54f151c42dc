"""Find the rules that hold for a request, in their order, without trying each one.

A rule holds only if all its demands are met. So an index keeps it under one of them, the one that the fewest
rules share: `equals` in a dictionary, `contains` and patterns in a set that RE2 searches in one pass. For a
request the index names the rules that may hold, and only these are tried. It may name too many rules, which
only takes time, but never too few.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from openpipe_mock.matching.conditions import READERS, Demand, Kind, Subject, When

FEW = 8
"""Up to so many rules, or keys of a part, trying one by one is faster than an index."""
LONGEST_KEY = 200
"""So many characters at the end of a wanted text are searched for; beginnings are often shared by texts."""
MOST_SEARCHED = 2000
"""Patterns are searched together only in texts of at most so many characters. In longer ones they could slow
each other down: a set keeps track of every pattern's progress, while one alone gives up early."""
_MOST_INDEXED = 50_000
"""Rules, of all books together, whose indexes are kept. Old settings live on in the journal and need none."""
_MOST_MEMORY = 32 * 2**20
"""Bytes of memory that RE2 may use for one set of patterns."""


class _Rule(Protocol):
    """Anything with conditions in `when`: a script, a fault, a scorer's rule."""

    @property
    def when(self) -> When: ...


_Ruled = TypeVar("_Ruled", bound=_Rule)


def rules_that_hold(rules: Sequence[_Ruled], subject: Subject) -> Iterator[_Ruled]:
    """Yield the rules whose conditions hold, in their order. A `Rulebook` doesn't try each rule."""
    near = rules.near(subject) if isinstance(rules, Rulebook) else rules
    return (rule for rule in near if rule.when.holds(subject))


class Rulebook(tuple[_Ruled, ...]):
    """Rules in their order, with an index that is built when it is first needed.

    `layers` are the books that `under` put together, () for a book of its own.
    """

    layers: "tuple[Rulebook[_Ruled], ...]" = ()
    made: "Index | None" = None

    def under(self, rules: Iterable[_Ruled]) -> "Rulebook[_Ruled]":
        """A book with other rules in front of these; the index of these is shared, not built again."""
        front = Rulebook(rules)
        book = Rulebook((*front, *self))
        book.layers = (front, *(self.layers or (self,)))
        return book

    def near(self, subject: Subject) -> Iterator[_Ruled]:
        """The rules that may hold, in their order: all that hold and maybe some that don't."""
        for book in self.layers or (self,):
            if len(book) <= FEW:
                yield from book
            else:
                yield from map(book.__getitem__, book.indexed().near(subject))

    def indexed(self) -> "Index":
        """The index of the rules. Only the newest indexes are kept; older ones are built again if needed."""
        index = self.made
        if index is None:
            index = self.made = Index([rule.when for rule in self])
            _newest.append(self)
            while len(_newest) > 1 and sum(map(len, tuple(_newest))) > _MOST_INDEXED:
                _newest.popleft().made = None
        return index


_newest: deque[Rulebook[Any]] = deque()
"""The books that have an index, the newest index last."""


def rulebook(rules: Iterable[_Ruled]) -> Rulebook[_Ruled]:
    """Put rules into a book; a book is returned as it is."""
    return rules if isinstance(rules, Rulebook) else Rulebook(rules)


class _Mark(NamedTuple):
    """A demand under which a rule is kept in an index. `part` and `key` are those of its condition."""

    part: str
    key: str
    kind: Kind
    wanted: str


KINDS: tuple[Kind, ...] = ("equals", "contains", "glob", "matches")
"""The kinds of demands, from the quickest to look up to the slowest."""


def _marks(when: When) -> Iterator[_Mark]:
    """The marks for all demands of all conditions."""
    for condition in when.conditions:
        key = condition.key.lower() if condition.part == "header" else condition.key
        for demand in condition.demands:
            yield _Mark(condition.part, key, _kind_of(demand), demand.wanted)


def _kind_of(demand: Demand) -> Kind:
    """The kind of a demand; a glob without wildcards counts as `equals`."""
    is_plain = demand.kind == "glob" and not any(wild in demand.wanted for wild in "*?[")
    return "equals" if is_plain else demand.kind


class Index:
    """An index of rules, which it names by their position in the list `whens`.

    `others` are the rules without demands; shelves, by the part of a request and its key, hold the rest.
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
        """The rising numbers of the rules that may hold: all that hold and maybe some that don't."""
        found = set(self.others)
        for part, shelves in self.parts.items():
            read = READERS[part]
            many = part in INDEX_KEYS and len(shelves) > FEW
            for key in shelves.keys() & set(INDEX_KEYS[part](subject)) if many else shelves:
                for text in read(subject, key):
                    found.update(shelves[key].near(text))
        return sorted(found)


INDEX_KEYS: Mapping[str, Callable[[Subject], Iterable[str]]] = {
    "header": lambda subject: (name.decode("utf-8", "replace") for name in subject.headers),
    "metadata": lambda subject: subject.metadata,
}
"""Part of a request that may have any keys → a function that returns the keys that are there."""


class _Shelf:
    """Rules whose marks have the same part and key.

    `equal`: wanted text → rules. `always`: rules that are tried whatever the text is.
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
        """A search for the marks; for few marks none, and their rules are always tried."""
        if len(marked) <= FEW:
            self.always += [number for _, number in marked]
        else:
            yield _Search(marked, most)

    def near(self, text: str) -> Iterator[int]:
        """The rules that may hold for this text."""
        yield from self.always
        yield from self.equal.get(text, ())
        for search in self.searches:
            yield from search.near(text)


class _Search:
    """Marks that are searched in one pass, with their rules.

    A text of more than `most` characters isn't searched; then any of the rules may hold.
    """

    def __init__(self, marked: Iterable[tuple[_Mark, int]], most: int | None) -> None:
        self.most = most
        # Pattern 0 is empty, so it is found in every text.
        rules_of: defaultdict[bytes, list[int]] = defaultdict(list, {b"": []})
        for mark, rule in marked:
            rules_of[_pattern(mark)].append(rule)
        self.rules = [*rules_of.values()]
        """Number of a pattern → numbers of its rules."""
        self.all = [rule for rules in self.rules for rule in rules]
        self.found = united(rules_of)

    def near(self, text: str) -> Iterable[int]:
        """The rules that may hold for this text."""
        if self.most is not None and len(text) > self.most:
            return self.all
        found = self.found(text.encode("utf-8", "replace"))
        # If not even the empty pattern was found, RE2 ran out of memory while it searched.
        return [rule for number in found for rule in self.rules[number]] if found else self.all


def united(patterns: Iterable[bytes]) -> Callable[[bytes], Sequence[int] | None]:
    """Compile RE2 patterns into a function that returns the numbers of those that are found in a text.

    The function returns nothing if the patterns are too large for RE2.
    """
    import re2  # here, so that only a config with many rules pays for the import

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
    """An RE2 pattern that is found in every text that meets the demand, and maybe in others."""
    try:
        return PATTERNS[mark.kind](mark.wanted)
    except UnicodeEncodeError:  # half of a surrogate pair: the empty pattern is found in every text
        return b""


def _globbed(wanted: str) -> bytes:
    """A glob as a pattern, up to its first bracket; after that any text is accepted."""
    plain, bracket, _ = wanted.partition("[")
    told = b"".join(_WILD[each] if each in _WILD else _escaped(each) for each in plain)
    return b"\\A" + told + (b"" if bracket else b"\\z")


_WILD = {"*": b"(?s:.*)", "?": b"(?s:.)"}


def _escaped(text: str) -> bytes:
    import re2

    found: bytes = re2.escape(text.encode())
    return found


PATTERNS: Mapping[Kind, Callable[[str], bytes]] = {
    "contains": lambda wanted: _escaped(wanted[-LONGEST_KEY:]),
    "glob": _globbed,
    "matches": str.encode,
}
