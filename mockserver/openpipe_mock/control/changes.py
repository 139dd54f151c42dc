"""Change what a session answers: its criteria, scripted answers, faults and limits.

The control API and a test's mock call these functions with values of JSON. A mistake raises BadRequest, and
nothing has changed: what is sent is parsed before `opened` is asked for the session, which may make it, and
before the session gives a place.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openpipe_mock.answers.functions import Function
from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.answers.scripts import Script, answering_by
from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings, Unknown
from openpipe_mock.control.parameters import checked_rules, part, reference
from openpipe_mock.core.errors import MOST_ISSUES, BadRequest, NotFound
from openpipe_mock.core.wording import did_you_mean, listed, quoted
from openpipe_mock.faults.fault import Fault
from openpipe_mock.sessions.memory import Session

Json = Any
_Opened = Callable[[], Session]

_MOST_RULES = 1000
"""Criteria, scripts and faults, of each, that may be set at runtime in one session."""
_DROP_VERSION = "leave the version out of the path to set them all, or send one form."
_PARSERS: Mapping[str, Callable[..., Any]] = {
    "completions": configfile.parse_script,
    "faults": configfile.parse_fault,
}
"""Kind of rules, as the config file names it → the function that reads one."""


def set_criterion(opened: _Opened, base: Settings, id: str, value: Json | Form) -> Declared:
    """Set how a criterion judges and return all its versions.

    `base`: the mock's own settings. `id`: `helpful`, or one version of it: `helpful@v2`. `value`: as in the
    file, or a form that isn't said there.
    """
    name, version = reference(id)

    def parsed(place: str) -> Declared | Form:
        return value if isinstance(value, Form) else configfile.parse_criterion(value, place=place)

    form = part(lambda: parsed(""))
    if version and isinstance(form, Declared):
        raise BadRequest.at("body", f"expected how {id} judges, got versions; {_DROP_VERSION}")
    session = opened()
    _check_room(len(session.overrides.criteria), name not in session.overrides.criteria)
    place = session.next_place()
    form = parsed(place)
    before = session.overrides.criteria.get(name) or (session.own or base).criteria.get(name)
    declared = _merged(form, version, before)
    session.wrote(form, value, place)
    session.override(criteria={**session.overrides.criteria, name: declared})
    return declared


def reset_criterion(session: Session, base: Settings, id: str) -> None:
    """Have a criterion judge as the file says. Raises NotFound for one that is neither set nor declared.

    `base`: the mock's own settings, which count where the session has no file of its own.
    """
    name, version = reference(id)
    set_here, declared = dict(session.overrides.criteria), (session.own or base).criteria
    here, file = _versions_of(set_here, name), _versions_of(declared, name)
    if not here and not file:
        near = did_you_mean(name, [*set_here, *declared])
        raise NotFound(f"no criterion {quoted(name)} was set here, and the file declares none.{near}")
    if version and version not in {*here, *file}:
        known = listed([f"v{each}" for each in sorted({*here, *file})], "and")
        raise NotFound(f"the criterion {quoted(name)} has no version v{version}; it has {known}.")
    set_here.pop(name, None)
    if here and version:
        kept = {number: form for number, form in here.items() if number != version}
        restored = {**kept, version: file[version]} if version in file else kept
        if restored and restored != file:
            set_here[name] = Declared(restored)
    session.override(criteria=set_here)


def add_rules(
    opened: _Opened, kind: str, value: Json, function: Function[Script] | None = None
) -> Sequence[Script | Fault]:
    """Put a rule or a list of rules before those that a session has. `kind`: `completions` or `faults`.

    `function`: a test's, which gives the answer in place of what the script says.
    """
    parse = _PARSERS[kind]
    sources = checked_rules(parse, value)
    _check_room(0, len(sources))
    session = opened()
    standing = getattr(session.overrides, kind)
    _check_room(len(standing), len(sources))
    rules = [parse(source, place=session.next_place()) for source in sources]
    if function:
        rules = [answering_by(rule, function) for rule in rules]
    for rule, source in zip(rules, sources, strict=True):
        session.wrote(rule, source, rule.place)
    session.override(**{kind: (*rules, *standing)})
    return rules


def set_limits(opened: _Opened, value: Json) -> Session:
    """Set the limits of each key and return the session."""
    limits = part(lambda: configfile.parse_limits(value))
    session = opened()
    session.wrote(limits, value)
    session.override(limits=limits)
    return session


def set_unknown(opened: _Opened, value: Unknown | None) -> None:
    """Say what becomes of criteria that aren't declared; None leaves it to the file."""
    opened().override(unknown_criteria=value)


def use_config(opened: _Opened, text: bytes) -> None:
    """Have a session answer by the text of a whole config, in place of the file and of what was set."""
    try:
        settings = configfile.read_config(text)
    except configfile.ConfigError as error:
        wrong = [str(mistake) for mistake in error.mistakes[:MOST_ISSUES]]
        raise BadRequest(wrong[0], issues=wrong) from None
    session = opened()
    session.use(settings)
    session.override(**_NOTHING_SET)


def drop_config(session: Session) -> None:
    """Have a session answer by the mock's own file again, without what was set at runtime."""
    session.own = None
    session.override(**_NOTHING_SET)


_NOTHING_SET: Mapping[str, Any] = {
    "criteria": {},
    "completions": (),
    "faults": (),
    "limits": None,
    "unknown_criteria": None,
}


def _check_room(set_here: int, more: int) -> None:
    """Raise BadRequest where `more` rules of a kind are too many beside the `set_here` that a session has."""
    if more > _MOST_RULES:
        raise BadRequest(f"a session keeps {_MOST_RULES:,} of a kind, and these are {more:,}; send fewer.")
    if set_here + more > _MOST_RULES:
        told = f"a session keeps {_MOST_RULES:,} of a kind, and {set_here:,} are set already"
        raise BadRequest(f"{told}; DELETE removes them, POST /_mock/reset all that is set.")


def _merged(form: Declared | Form, version: int, before: Declared | None) -> Declared:
    """A criterion after setting a form: for one version, or without `version` for each that there was."""
    if isinstance(form, Declared):
        return form
    versions = before.versions if before else {}
    return Declared({**versions, version: form} if version else dict.fromkeys(versions or (1,), form))


def _versions_of(criteria: Mapping[str, Declared], name: str) -> Mapping[int, Form]:
    return criteria[name].versions if name in criteria else {}
