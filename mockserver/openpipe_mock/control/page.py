"""The page at `/`, which says how to use this mock; it has no scripts."""

from collections.abc import Sequence
from html import escape
from string import Template

from openpipe_mock.config.settings import Settings
from openpipe_mock.control.listings import ROOT
from openpipe_mock.control.status import facts
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

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def exports(base_url: str, settings: Settings) -> list[tuple[str, str]]:
    """The environment variables that point the official clients here. `base_url` ends in `/api/v1`."""
    key = _ONE_OF_YOURS if settings.keys else _KEY
    return [
        ("OPENPIPE_BASE_URL", base_url),
        ("OPENPIPE_API_KEY", key),
        ("OPENAI_BASE_URL", base_url),
        ("OPENAI_API_KEY", key),
    ]


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
    return _PAGE.substitute(
        base_url=escape(base_url),
        exports="\n".join(f"export {name}={escape(value)}" for name, value in exports(base_url, settings)),
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


def _problems(found: Sequence[str]) -> str:
    """HTML that lists what is wrong with the newest version of the config file; "" for nothing."""
    if not found:
        return ""
    lines = escape("\n".join(found))
    told = "The newest version of the config file is not in force; the one before it is."
    return f'<h2>Config file</h2><p class="bad">{told}</p><pre>{lines}</pre>'


_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>openpipe-mock</title>
<link rel="icon" href="data:,">
<style>
:root { --ink: #1d2430; --soft: #5b6675; --paper: #fbfaf8; --panel: #f0eee9; --line: #dcd8cf;
  --accent: #0b6e63; --bad: #a3341f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e4df; --soft: #9aa3ae; --paper: #14171b; --panel: #1d2126; --line: #30363d;
    --accent: #5fd0bf; --bad: #ff9b85; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em; }
h1 span { color: var(--accent); }
h2 { margin: 2.25rem 0 .5rem; font-size: 1rem; color: var(--soft); font-weight: 600; }
p { margin: .4rem 0; }
pre, code { font: .875rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .5rem 0; padding: .85rem 1rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
ul { margin: .5rem 0; padding: 0; list-style: none; }
.soft { color: var(--soft); }
.bad { color: var(--bad); font-weight: 600; }
</style>
</head>
<body>
<main>
<h1>openpipe<span>-mock</span> is running</h1>
<p class="soft">A local double of the OpenPipe API. $keys; nothing leaves this machine, and nothing
costs money.</p>
$problems
<h2>Point the official clients here</h2>
<pre>$exports</pre>
<p class="soft">$prefixes</p>
<h2>Try it</h2>
<pre>$curl</pre>
<h2>Served</h2>
<ul>$endpoints</ul>
<p class="soft">What happened stands at <a href="$mock/requests"><code>$mock/requests</code></a>, the
state of this mock at <a href="$mock/status"><code>$mock/status</code></a>, and all that the control API can
do at <a href="$mock/openapi.yaml"><code>$mock/openapi.yaml</code></a>.</p>
<h2>What decides the answers</h2>
<dl><dt>base URL</dt><dd><code>$base_url</code></dd>$facts</dl>
</main>
</body>
</html>
"""
)
