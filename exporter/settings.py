"""Typed readers that turn a YAML tree into settings and say of everything wrong where it is and what it should be."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from exporter.log import scrub
from exporter.yaml12 import Problem, Scalar, Tree, shown

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_SECRET_FILE: Final = 64 << 10


class Bad(Exception):
    """A value that is not what its setting needs; the words name what is needed, never the value.

    `at` is the key it is about, if that is not the one being read.
    """

    def __init__(self, words: str, at: str = "") -> None:
        super().__init__(words)
        self.at = at


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never shown: it prints as `<secret>`; `_file` is where it came from, if it was a file."""

    _value: str
    _file: Path | None = None

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def renewed(self) -> Secret:
        """The secret as its file has it now.

        Raises:
            OSError, UnicodeDecodeError: the file cannot be read.
        """
        if self._file is None:
            return self
        content = read_small(self._file).decode().strip("\r\n")
        scrub.learn([content] if content else [])
        return Secret(content, self._file)

    def __repr__(self) -> str:
        return "<secret>"


@dataclass(slots=True)
class Reader:
    """What reading needs around the tree: the environment, the folder of relative paths, the problems so far."""

    folder: Path
    environment: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def read(self, parse: Parse, tree: Tree, path: str) -> Any:
        """What `parse` makes of the tree, or None with a problem noted."""
        try:
            return parse(self, tree, path)
        except Bad as bad:
            self.problems.append(Problem(bad.at or path, str(bad)))
            return None

    def expand(self, text: str) -> str:
        """The text with every `${NAME}` replaced from the environment."""

        def value(match: re.Match[str]) -> str:
            found = self.environment.get(match[1])
            if not found:
                raise Bad(f"the environment variable {match[1]} is {'not set' if found is None else 'empty'}")
            return found

        if "${" in _VARIABLE.sub("", text):
            raise Bad("holds ${ that does not begin ${NAME}, the only form there is")
        return _VARIABLE.sub(value, text)


type Parse = Callable[[Reader, Tree, str], Any]


def setting(parse: Parse, doc: str, **default: Any) -> Any:
    """A dataclass field that is read by `parse`; without `default=` or `default_factory=` it is required."""
    return field(metadata={"parse": parse, "doc": doc}, **default)


def record[T](kind: type[T], check: Callable[[T], str | None] = lambda _: None) -> Parse:
    """A mapping read into a dataclass of settings; `check` says what does not fit together."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]  # T is a dataclass

    def parse(reader: Reader, tree: Tree, path: str) -> T | None:
        if not isinstance(tree, dict):
            raise Bad("must be a mapping of keys to values")
        before = len(reader.problems)
        reader.problems += [Problem(_join(path, key), "is not a known key") for key in tree if key not in fields]
        values = {
            k: reader.read(fields[k].metadata["parse"], t, _join(path, k)) for k, t in tree.items() if k in fields
        }
        reader.problems += [
            Problem(_join(path, n), "is missing") for n, f in fields.items() if _required(f) and n not in tree
        ]
        if len(reader.problems) > before:
            return None
        made = kind(**values)
        if message := check(made):
            raise Bad(message)
        return made

    return parse


def _required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _join(path: str, key: str) -> str:
    return f"{path}.{scrub(shown(key))}" if path else scrub(shown(key))


def listing(item: Parse, *unique: str, least: int = 0, most: int = 100) -> Parse:
    """A list; no two items may agree in any of the `unique` attributes (`""`: the items themselves)."""

    def parse(reader: Reader, tree: Tree, path: str) -> tuple[Any, ...]:
        if not isinstance(tree, list):
            raise Bad("must be a list")
        if not least <= len(tree) <= most:
            raise Bad(f"must have {least} to {most} entries")
        items = [reader.read(item, child, f"{path}[{i}]") for i, child in enumerate(tree)]
        for attribute in unique:
            _doubles(reader, items, attribute, path)
        return tuple(i for i in items if i is not None)

    return parse


def _doubles(reader: Reader, items: list[Any], attribute: str, path: str) -> None:
    seen: set[Any] = set()
    for i, item in enumerate(items):
        value = getattr(item, attribute, None) if attribute else item
        where = f"{path}[{i}].{attribute}" if attribute else f"{path}[{i}]"
        if value is not None and value in seen:
            reader.problems.append(Problem(where, "is given twice in the list"))
        seen.add(value)


def mapping(value: Parse, most: int = 100) -> Parse:
    """A mapping of names to values of one kind."""

    def parse(reader: Reader, tree: Tree, path: str) -> dict[str, Any]:
        if not isinstance(tree, dict):
            raise Bad("must be a mapping of names to values")
        if len(tree) > most:
            raise Bad(f"must have at most {most} entries")
        for key in tree:
            if not NAME.fullmatch(key):
                reader.problems.append(Problem(_join(path, key), "is not a valid name"))
        return {key: reader.read(value, child, _join(path, key)) for key, child in tree.items()}

    return parse


def _scalar(reader: Reader, tree: Tree, what: str) -> Scalar:
    if not isinstance(tree, Scalar):
        raise Bad(f"must be {what}")
    return Scalar(reader.expand(tree.text), tree.plain)


def text(what: str, pattern: re.Pattern[str], normal: Callable[[str], str] = str) -> Parse:
    """A string of a given shape; what YAML takes for a number is taken as it is written."""

    def parse(reader: Reader, tree: Tree, path: str) -> str:
        scalar = _scalar(reader, tree, what)
        if scalar.value() is None or not pattern.fullmatch(scalar.text):
            raise Bad(f"must be {what}")
        return normal(scalar.text)

    return parse


name: Final = text("a name of letters, digits, '_', '.', '-' (63 at most, the first a letter or digit)", NAME)
address: Final = text("an address: 0x and 40 hexadecimal digits", re.compile(r"0x[0-9a-fA-F]{40}"), str.lower)


def integer(least: int, most: int) -> Parse:
    """A whole number in a range."""

    def parse(reader: Reader, tree: Tree, path: str) -> int:
        value = _scalar(reader, tree, "a whole number").value()
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Bad(f"must be a whole number from {least} to {most}")
        return value

    return parse


def boolean(reader: Reader, tree: Tree, path: str) -> bool:
    """`true` or `false`."""
    value = _scalar(reader, tree, "true or false").value()
    if not isinstance(value, bool):
        raise Bad("must be true or false")
    return value


def choice(*allowed: str) -> Parse:
    """One of a few words."""

    def parse(reader: Reader, tree: Tree, path: str) -> str:
        scalar = _scalar(reader, tree, f"one of {', '.join(allowed)}")
        if scalar.text not in allowed:
            raise Bad(f"must be one of {', '.join(allowed)}")
        return scalar.text

    return parse


def either(one: Parse, other: Parse, what: str) -> Parse:
    """What one of two readers accepts."""

    def parse(reader: Reader, tree: Tree, path: str) -> Any:
        _scalar(reader, tree, what)
        for attempt in (one, other):
            try:
                return attempt(reader, tree, path)
            except Bad:
                continue
        raise Bad(f"must be {what}")

    return parse


def path(reader: Reader, tree: Tree, where: str) -> Path:
    """A path; a relative one starts at the configuration file's folder."""
    scalar = _scalar(reader, tree, "a path")
    if scalar.value() is None or not scalar.text or not scalar.text.isprintable() or len(scalar.text) > 4096:
        raise Bad("must be a path")
    try:
        return reader.folder / Path(scalar.text).expanduser()
    except RuntimeError:
        raise Bad("must be a path; there is no home directory for its ~") from None


def timezone(reader: Reader, tree: Tree, where: str) -> ZoneInfo:
    """A time zone by its IANA name."""
    scalar = _scalar(reader, tree, "a time zone such as America/New_York")
    try:
        return ZoneInfo(scalar.text)
    except Exception:
        raise Bad("must be a time zone such as America/New_York") from None


def url(*schemes: str) -> Callable[[str], bool]:
    """Whether a text is a URL with one of these schemes and a host."""

    def valid(value: str) -> bool:
        try:
            parts = urllib.parse.urlsplit(value)
            whole = value.isprintable() and not re.search(r"\s", value)
            return bool(whole and parts.scheme in schemes and parts.hostname and parts.port != 0)
        except ValueError:
            return False

    return valid


def secret_url(*schemes: str) -> Parse:
    """A URL that may hold keys anywhere, so that all of it is secret."""
    what = f"a URL with a host, starting with {' or '.join(f'{s}://' for s in schemes)}"

    def parse(reader: Reader, tree: Tree, where: str) -> Secret:
        scalar = _scalar(reader, tree, what)
        scrub.learn([scalar.text])
        if not url(*schemes)(scalar.text):
            raise Bad(f"must be {what}")
        return Secret(scalar.text)

    return parse


def plain_url(*schemes: str) -> Parse:
    """A URL without user and password."""
    what = f"a URL with a host and without a password, starting with {' or '.join(f'{s}://' for s in schemes)}"

    def parse(reader: Reader, tree: Tree, where: str) -> str:
        scalar = _scalar(reader, tree, what)
        if not url(*schemes)(scalar.text) or "@" in scalar.text:
            raise Bad(f"must be {what}")
        return scalar.text

    return parse


def secret_file(reader: Reader, tree: Tree, where: str) -> Secret:
    """The content of a file, without the line end, as a secret."""
    try:
        secret = Secret("", path(reader, tree, where)).renewed()
    except OSError as error:
        raise Bad(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Bad("must hold UTF-8 text") from None
    if not secret.reveal():
        raise Bad("is an empty file")
    return secret


def read_small(file: Path, most: int = _MAX_SECRET_FILE) -> bytes:
    """The bytes of a regular file of at most so many.

    Raises:
        OSError: it cannot be read, is not regular, or is too large.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        content = opened.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"File too large: more than {most >> 10} KiB")
    return content


ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
origin: Final = text("an origin such as https://grafana.example.org, without path or wildcard", ORIGIN, str.lower)
