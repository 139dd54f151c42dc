"""The page at `/`: how to use this mock, on one small page without scripts."""

from html import escape
from string import Template

from mockserver.config import Settings
from mockserver.control import facts
from mockserver.paths import BASE, SERVED

KEY = "op-local"
"""The key that banner and page suggest; any other works as well."""

PREFIXES = (
    "The official client sends models without openpipe:, openai:, anthropic: or gemini: in front to OpenAI; "
    "OPENAI_BASE_URL keeps those here too."
)

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def exports(base_url: str) -> list[tuple[str, str]]:
    """The variables that lead the official clients here, for a base URL that ends in `/api/v1`."""
    return [
        ("OPENPIPE_BASE_URL", base_url),
        ("OPENPIPE_API_KEY", KEY),
        ("OPENAI_BASE_URL", base_url),
        ("OPENAI_API_KEY", KEY),
    ]


def curl(base_url: str) -> str:
    """A first request to paste."""
    return (
        f"curl {base_url}/criteria/judge \\\n"
        f"  -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' \\\n"
        """  -d '{"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}'"""
    )


def page(settings: Settings, origin: str) -> str:
    """The page's HTML; `origin` is the URL under which the browser found it."""
    base_url = f"{origin.rstrip('/')}{BASE}"
    return PAGE.substitute(
        base_url=escape(base_url),
        exports="\n".join(f"export {name}={escape(value)}" for name, value in exports(base_url)),
        prefixes=escape(PREFIXES),
        curl=escape(curl(base_url)),
        endpoints="".join(f"<li><code>{method} {BASE}{path}</code></li>" for path, method in SERVED.items()),
        facts="".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts(settings).items()),
    )


PAGE = Template(
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
  --accent: #0b6e63; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e4df; --soft: #9aa3ae; --paper: #14171b; --panel: #1d2126; --line: #30363d;
    --accent: #5fd0bf; }
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
dd { margin: 0; }
ul { margin: .5rem 0; padding: 0; list-style: none; }
.soft { color: var(--soft); }
</style>
</head>
<body>
<main>
<h1>openpipe<span>-mock</span> is running</h1>
<p class="soft">A local double of the OpenPipe API. Any key will do, nothing leaves this machine, and nothing
costs money.</p>
<h2>Point the official clients here</h2>
<pre>$exports</pre>
<p class="soft">$prefixes</p>
<h2>Try it</h2>
<pre>$curl</pre>
<h2>Served</h2>
<ul>$endpoints<li><code>GET /_mock/health</code></li><li><code>POST /_mock/reset</code></li></ul>
<h2>What decides the answers</h2>
<dl><dt>base URL</dt><dd><code>$base_url</code></dd>$facts</dl>
</main>
</body>
</html>
"""
)
