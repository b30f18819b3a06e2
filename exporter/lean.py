"""Imports libraries without what they load for everybody and few need here: five MiB less."""

from __future__ import annotations

import mimetypes
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar, TypeVarTuple

ZONES: Final = Path("/usr/share/zoneinfo")


def import_zoneinfo() -> None:
    """Import it, unless that has been done.

    To learn where the system's time zones are it loads all that is known of how Python was built; where they are at
    their usual place it is told.
    """
    usual = "PYTHONTZPATH" not in os.environ and ZONES.is_dir()
    with _environment(PYTHONTZPATH=str(ZONES)) if usual else nullcontext():
        import zoneinfo  # noqa: F401


def import_aiohttp() -> None:
    """Import it, unless that has been done.

    On its import it reads all authorities' certificates, which only TLS needs, the system's list of kinds of files,
    which nobody here asks for, and through one of its parts libstdc++, for lists that are written once and read a
    few times.
    """
    with (
        _environment(SSL_CERT_FILE=os.devnull, SSL_CERT_DIR=os.devnull, FROZENLIST_NO_EXTENSIONS="1"),
        _no_kinds_of_files(),
        _absent("bz2", "lzma"),  # of archives, which nobody here makes
        _instead("email.headerregistry", HeaderRegistry=_Registry),
        _instead("typing_extensions", TypeVar=_without_default(TypeVar), TypeVarTuple=_without_default(TypeVarTuple)),
    ):
        import aiohttp.web  # noqa: F401


@contextmanager
def parts(package: str) -> Iterator[None]:
    """Import modules of a package inside of this without its own start, which would load them all.

    They are forgotten afterwards, so that whoever imports the package gets it whole.
    """
    found = find_spec(package) if package not in sys.modules else None
    if found is None or found.submodule_search_locations is None:
        yield
        return
    bare = sys.modules[package] = ModuleType(package)
    bare.__path__ = list(found.submodule_search_locations)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let modules that are only tried for be absent for a while."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # None is how Python says: not to be had
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)


class _StandIn(ModuleType):
    """Has a few of a module's names; whoever asks for another gets the module's own."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = sys.modules.pop(self.__name__)
        try:
            return getattr(import_module(self.__name__), name)
        finally:
            sys.modules[self.__name__] = found


@contextmanager
def _instead(name: str, **holds: Any) -> Iterator[None]:
    """Let a module be one that has just these names at hand, for a while."""
    if name in sys.modules:
        yield
        return
    module = sys.modules[name] = _StandIn(name)
    module.__dict__.update(holds)
    try:
        yield
    finally:
        sys.modules.pop(name, None)


class _Registry:
    """How mail reads its headers, half a megabyte of grammar: had when first asked for, which HTTP seldom does."""

    def __init__(self, *options: Any, **named: Any) -> None:
        self._options = options, named

    @cached_property
    def _own(self) -> Any:
        options, named = self._options
        return import_module("email.headerregistry").HeaderRegistry(*options, **named)

    def __call__(self, name: str, value: str) -> Any:
        return self._own(name, value)

    def __getitem__(self, name: str) -> Any:
        return self._own[name]

    def map_to_type(self, name: str, kind: type) -> None:
        """As the registry's own."""
        self._own.map_to_type(name, kind)


def _without_default(kind: Callable[..., Any]) -> Callable[..., Any]:
    """A type variable's default tells type checkers something, and Python 3.12 does not know it yet."""
    return lambda name, *bounds, default=None, **options: kind(name, *bounds, **options)


@contextmanager
def _no_kinds_of_files() -> Iterator[None]:
    before, mimetypes.knownfiles = mimetypes.knownfiles, []
    try:
        yield
    finally:
        mimetypes.knownfiles = before


@contextmanager
def _environment(**changes: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


@cache
def authorities() -> ssl.SSLContext:
    """What checks servers' certificates: every connection with TLS must be given it, for aiohttp's own knows nobody."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def alone(package: str, name: str) -> ModuleType:
    """A module of a package, without the package's own start, which may be an HTTP server and more that is not used.

    Raises:
        ImportError: there is no such module.
    """
    found = find_spec(package)
    place = Path(found.origin).with_name(f"{name}.py") if found and found.origin else None
    spec = spec_from_file_location(f"{__name__}.{package}_{name}", place) if place and place.is_file() else None
    if spec is None or spec.loader is None:
        raise ImportError(f"{package} has no {name}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


import_zoneinfo()
