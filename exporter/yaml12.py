"""YAML read with the meaning of version 1.2 and without its traps: no duplicate keys, aliases, anchors or tags."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from exporter import lean

with lean.parts("yaml"):
    from yaml.composer import Composer
    from yaml.error import MarkedYAMLError, YAMLError
    from yaml.events import (
        CollectionEndEvent,
        CollectionStartEvent,
        Event,
        MappingStartEvent,
        ScalarEvent,
        SequenceStartEvent,
    )
    from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.resolver import Resolver
    from yaml.scanner import Scanner

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_BASED = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,64}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as written; `plain` is false where quotes or a block make it a string."""

    text: str
    plain: bool

    def value(self) -> bool | int | float | str | None:
        """Its value by the core schema of YAML 1.2, where `on` is a string and 010 is ten."""
        text = self.text
        if not self.plain:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        return float(text) if _FLOAT.fullmatch(text) else text


type Tree = Scalar | list[Tree] | dict[str, Tree]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the text, and the path of the key where it is."""

    path: str
    message: str


def parse(text: str) -> tuple[Tree | None, list[Problem]]:
    """The tree of one YAML document and every problem with it; the tree is None if it cannot be used at all."""
    try:
        written = _written(text)
        node = _Loader(text).get_single_node()
    except _TooDeep as error:
        return None, [Problem("", f"is nested too deeply: {_position(error)}")]
    except MarkedYAMLError as error:
        return None, [Problem("", f"not YAML: {_position(error)}")]
    except (YAMLError, ValueError, OverflowError):
        return None, [Problem("", "not YAML: characters that YAML does not allow")]
    if node is None:
        return {}, []
    builder = _Builder(written)
    tree = builder.tree(node, "")
    return (None if builder.aliased else tree), builder.problems


def shown(key: str) -> str:
    """A key as messages name it: short and printable, so that it cannot make up lines of its own."""
    return key if len(key) <= 80 and key.isprintable() else "(unprintable key)"


class _Loader(Reader, Scanner, Parser, Composer, Resolver):
    """Text to events and nodes, in that order of parts; nothing is made of them."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        Resolver.__init__(self)


class _TooDeep(MarkedYAMLError):
    """Collections within collections, beyond any need."""


type _Place = tuple[int, type[Node]]
"""(index in the text, kind of node): a mapping starts where its first key does."""
_KINDS: dict[type[Event], type[Node]] = {
    ScalarEvent: ScalarNode,
    SequenceStartEvent: SequenceNode,
    MappingStartEvent: MappingNode,
}


def _written(text: str) -> dict[_Place, list[str]]:
    """Where tags and anchors are written: the composer gives every node a tag, only events tell which were.

    Events come lazily, so that text nested without end is given up at its start.
    """
    found: dict[_Place, list[str]] = {}
    depth = 0
    loader = _Loader(text)
    while loader.check_event():
        event: Event = loader.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _TooDeep(None, None, None, event.start_mark)  # type: ignore[arg-type]  # the C loader's mark is one
        kind = _KINDS.get(type(event))
        if kind is not None:
            marks = ("tags (!name)", getattr(event, "tag", None)), ("anchors (&name)", getattr(event, "anchor", None))
            found[_index(event), kind] = [words for words, mark in marks if mark is not None]
    return found


def _position(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unreadable"


def _index(thing: Event | Node) -> int:
    return thing.start_mark.index if thing.start_mark else -1


@dataclass(slots=True)
class _Builder:
    """Turns nodes into a tree; a node met twice is an alias, which is not followed."""

    written: dict[_Place, list[str]]
    problems: list[Problem] = field(default_factory=list)
    aliased: bool = False
    _met: set[int] = field(default_factory=set)

    def tree(self, node: Node, path: str) -> Tree:
        if self._is_alias(node, path):
            return {}
        if isinstance(node, ScalarNode):
            return Scalar(node.value, node.style is None)
        if isinstance(node, SequenceNode):
            return [self.tree(child, f"{path}[{i}]") for i, child in enumerate(node.value)]
        return self._mapping(node.value, path)

    def _is_alias(self, node: Node, path: str) -> bool:
        if id(node) in self._met:
            self.problems.append(Problem(path, "aliases (*name) are not allowed"))
            self.aliased = True
            return True
        self._met.add(id(node))
        for words in self.written[_index(node), type(node)]:
            self.problems.append(Problem(path, f"{words} are not allowed"))
        return False

    def _mapping(self, pairs: list[tuple[Any, Any]], path: str) -> dict[str, Tree]:
        tree: dict[str, Tree] = {}
        for key_node, value_node in pairs:
            if not isinstance(key_node, ScalarNode):
                self.problems.append(Problem(path, "keys must be plain words"))
                continue
            key = key_node.value
            below = f"{path}.{shown(key)}" if path else shown(key)
            self._is_alias(key_node, below)
            if key in tree:
                self.problems.append(Problem(below, "is given twice"))
            tree[key] = self.tree(value_node, below)
        return tree
