"""Figures of the package's structure: `make structure` prints them.

Size of files and functions, public names a module, and how deep imports go. An import counts when it stands
at the top of a module, not inside a function or for type checkers alone. The depth of a chain of modules is
the number of imports that lead from its first to its last.
"""

import ast
import io
import statistics
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from tests.environments import ROOT

PACKAGE = ROOT / "mockserver" / "openpipe_mock"
NAME = PACKAGE.name


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the package: its dotted name without the package's, and its text."""

    name: str
    text: str

    @property
    def room(self) -> str:
        """The folder that it lies in, "" for one at the top."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def folder(self) -> str:
        """The folder that it lies in: a room, or a room's inner one, such as "sessions.redis"."""
        return self.name.rpartition(".")[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


@cache
def modules() -> Mapping[str, Module]:
    """Every module of the package by name, without the folders' `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        steps = path.relative_to(PACKAGE).with_suffix("").parts
        if steps[-1] != "__init__":
            name = ".".join(steps)
            found[name] = Module(name, path.read_text(encoding="utf-8"))
    return found


def imported(source: str, *, top_level: bool = False) -> Iterator[str]:
    """The modules of the package that a source text imports, in any form: "core.errors".

    `top_level`: only what is imported when the module is. A name stands for the module that it comes from.
    """
    tree = ast.parse(source)
    for node in _outside_functions(tree) if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{NAME}."):
                    yield alias.name.removeprefix(f"{NAME}.")
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from _members(node)


def _members(node: ast.ImportFrom) -> Iterator[str]:
    package, _, inner = str(node.module).partition(".")
    if package != NAME:
        return
    for alias in node.names:
        name = f"{inner}.{alias.name}" if inner else alias.name
        if (PACKAGE / f"{name.replace('.', '/')}.py").is_file():
            yield name
        elif inner:
            yield inner
        elif not alias.name.startswith("__"):
            yield alias.name


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run at import, without blocks for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _outside_functions(child)


def longest_chain(*, inside: str = "") -> list[str]:
    """The longest chain of imports, the importing module first; `inside` a folder: only its modules count."""
    known = {name: module for name, module in modules().items() if not inside or module.folder == inside}
    chains: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in chains:
            chains[name] = []  # a circle counts once
            below = (chain(each) for each in set(imported(known[name].text, top_level=True)) if each in known)
            chains[name] = [name, *max(below, key=len, default=[])]
        return chains[name]

    return max(map(chain, sorted(known)), key=len, default=[])


def depth(*, inside: str = "") -> int:
    """How many imports the longest chain has."""
    return max(len(longest_chain(inside=inside)) - 1, 0)


def folders() -> list[str]:
    """The rooms and their inner folders."""
    return sorted({module.folder for module in modules().values()} - {""})


def public_names(module: Module) -> list[str]:
    """What a module defines at its top under a name without an underscore."""
    found: list[str] = []
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in found if not name.startswith("_")]


def function_lengths() -> list[int]:
    """The lines of every function and method, sorted."""
    every = (node for module in modules().values() for node in ast.walk(module.tree))
    functions = (node for node in every if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return sorted(int(node.end_lineno or 0) - node.lineno + 1 for node in functions)


def comment_share() -> float:
    """Lines that hold a comment, as a share of all lines."""
    lines = comments = 0
    for module in modules().values():
        lines += module.text.count("\n")
        tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
        comments += sum(token.type == tokenize.COMMENT for token in tokens)
    return comments / lines


def repeated_names() -> Mapping[str, list[str]]:
    """Public names that several modules define → those modules."""
    owners: dict[str, list[str]] = {}
    for name, module in modules().items():
        for public in public_names(module):
            owners.setdefault(public, []).append(name)
    return {name: found for name, found in owners.items() if len(found) > 1}


def rows() -> Iterator[tuple[str, str]]:
    """What is measured, and how much it is."""
    texts = [module.text for module in modules().values()]
    lengths = function_lengths()
    rooms = {module.room for module in modules().values()} - {""}
    deepest = max(folders(), key=lambda folder: depth(inside=folder))
    public = [len(public_names(module)) for module in modules().values()]
    yield "modules at the top", str(sum(not module.room for module in modules().values()))
    yield "rooms", str(len(rooms))
    yield "files / lines", f"{len(texts)} / {sum(text.count(chr(10)) for text in texts) / 1000:.1f}k"
    median, tenth = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    yield "function median / p90 / max", f"{median:.0f} / {tenth} / {lengths[-1]}"
    yield "public names a module", f"{statistics.mean(public):.1f}"
    yield "public names in several modules", str(len(repeated_names()))
    yield "import depth", str(depth())
    yield "import depth inside a room", f"{depth(inside=deepest)} ({deepest})"
    yield "comment lines", f"{100 * comment_share():.1f} %"


def main() -> None:
    """Print the figures, then the longest chain."""
    for name, value in rows():
        print(f"{name:34}{value}")
    print("longest chain:", " > ".join(longest_chain()))


if __name__ == "__main__":
    main()
