"""`python -m tests.client.blocking` writes client/gati_client/blocking.pyi: the namespaces of `SyncClient`, for type
checkers, out of those of `Client`. Nothing of it runs: what blocks is made from the asynchronous methods as they are.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "client" / "gati_client"
TARGET = PACKAGE / "blocking.pyi"

_HEAD = '''"""The namespaces of `SyncClient`: those of `Client`, blocking. Generated from these; do not edit:

    python -m tests.client.blocking
"""
'''


def source() -> str:
    """The stub, formatted."""
    imports: dict[str, set[str]] = {"gati_client.sync": {"SyncClient"}, "collections.abc": {"Iterator"}}
    plain: set[str] = set()
    classes: list[str] = []
    for path in sorted((PACKAGE / "spaces").glob("*.py")):
        tree = ast.parse(path.read_text())
        found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem]
        for node in ast.walk(tree) if found else ():
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                imports.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.Import):
                plain |= {alias.name for alias in node.names}
        classes += map(_class, found)
    body = "\n\n".join(classes)
    names = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    lines = [f"import {name}" for name in sorted(plain & names)]
    for module, members in sorted(imports.items()):
        if used := sorted(members & names):
            lines.append(f"from {module} import {', '.join(used)}")
    return _formatted("\n".join([_HEAD, *lines, "", body]) + "\n")


def _class(node: ast.ClassDef) -> str:
    methods = [
        _method(each)
        for each in node.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_")
    ]
    return "\n".join([f"class {node.name}:", *methods])


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The same signature; what iterates asynchronously is an iterator, and a client may be either."""
    assert node.returns is not None, f"{node.name} has no annotation of what it returns"
    parts = _Blocking().visit(
        ast.parse(f"def {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}: ...")
    )
    return "    " + ast.unparse(parts).replace("\n    ...", " ...")


class _Blocking(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name in an annotation."""
        if node.id == "AsyncIterator":
            return ast.Name("Iterator")
        if node.id == "Client":
            return ast.BinOp(ast.Name("Client"), ast.BitOr(), ast.Name("SyncClient"))
        return node


def _formatted(text: str) -> str:
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format"]):
        run = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"]
        text = subprocess.run(run, input=text, check=True, capture_output=True, text=True).stdout
    return text


if __name__ == "__main__":
    TARGET.write_text(source())
