"""The page at `/`, which says how to use this mock; it has no scripts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from openpipe_mock.config.settings import Settings
from openpipe_mock.control.guard import safe_headers
from openpipe_mock.control.listings import ROOT
from openpipe_mock.control.status import facts
from openpipe_mock.core.wording import printable_lines
from openpipe_mock.openapi.endpoints import BASE, SERVED
from openpipe_mock.service.service import Service

_KEY = "op-local"
"""The key that banner and page suggest where any is accepted."""
_ONE_OF_YOURS = "'<one of auth.keys>'"
"""What they show in its place where the config names keys, which are shown nowhere."""

PREFIXES = (
    "The official client sends models without openpipe:, openai:, anthropic: or gemini: in front to OpenAI; "
    "OPENAI_BASE_URL keeps those here too."
)

HEADERS = safe_headers(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def exports(base_url: str, settings: Settings) -> dict[str, str]:
    """The environment variables that point the official clients here. `base_url` ends in `/api/v1`."""
    key = _ONE_OF_YOURS if settings.keys else _KEY
    return {
        "OPENPIPE_BASE_URL": base_url,
        "OPENPIPE_API_KEY": key,
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": key,
    }


def _curl(base_url: str, settings: Settings) -> str:
    """A first request to paste."""
    key = "$OPENPIPE_API_KEY" if settings.keys else _KEY
    return (
        f"curl {base_url}/criteria/judge \\\n"
        f"  -H \"Authorization: Bearer {key}\" -H 'Content-Type: application/json' \\\n"
        """  -d '{"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}'"""
    )


def start_page(service: Service, origin: str, root: str = "") -> str:
    """The page's HTML. `origin`: the URL under which the browser found it. `root`: see `Head`."""
    base_url, settings, file = f"{origin.rstrip('/')}{BASE}", service.settings, service.file
    remembered = service.sessions.status_line()
    known = {**facts(settings), "config file": file.path or "none", "sessions lie in": remembered}
    page = _PAGE.substitute(
        base_url=escape(base_url),
        exports="\n".join(
            f"export {name}={escape(value)}" for name, value in exports(base_url, settings).items()
        ),
        prefixes=escape(PREFIXES),
        curl=escape(_curl(base_url, settings)),
        keys="The config file says which keys will do" if settings.keys else "Any key will do",
        problems=_problems(file.problems),
        endpoints="".join(
            f"<li><code>{each.method} {root}{path}</code></li>" for path, each in SERVED.items()
        ),
        mock=root + ROOT,
        facts="".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in known.items()),
    )
    return printable_lines(page)


def _problems(found: Sequence[str]) -> str:
    """HTML that lists what is wrong with the newest version of the config file; "" for nothing."""
    if not found:
        return ""
    lines = escape("\n".join(found))
    told = "The newest version of the config file is not in force; the one before it is."
    return f'<h2>Config file</h2><p class="bad">{told}</p><pre>{lines}</pre>'


_PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
