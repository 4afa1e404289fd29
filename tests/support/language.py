"""The words that the project does not use, and where they occur in texts and modules."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping

#: Patterns of banned words, each with what to write instead.
BANNED = {
    r"\b(?:nobody|whoever|whomever|whom|somebody|everybody)\b": "name what did not happen",
    r"\bwrit(?:e|ten) to (?:people|users|them|again)\b": "send, message",
    r"\b(?:told|mended|befalls?|learnt|meanwhile|in vain)\b": "reported, fixed, during, no result",
    r"\bfor ever\b|\bso long as not\b|\band said so\b": "forever; say it in order",
    r"\btook the order\b": "accepted the request",
    r"(?:\d|\b(?:requests?|codes?|calls|times|mails)) a second\b": "per second",
    r"(?<!there )\b(?:is|are) no (?!longer|more\b|other\b)\w": "is not a valid …",
}
#: Names that say nothing about their value: a variable, a function or an attribute has a noun.
PARTICIPLES = frozenset({"told", "found", "given", "known", "made", "kept"})


def faults(text: str, patterns: Mapping[str, str]) -> list[str]:
    """Return the words of a text that are banned, each with what to write instead."""
    return [
        f"{match[0]!r}: {better}"
        for pattern, better in patterns.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every literal, docstring, comment and name of a definition."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, " ".join(node.value.split())
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.strip("_").replace("_", " ")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and name of everything that a module defines or assigns."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.arg():
                yield node.lineno, node.arg
