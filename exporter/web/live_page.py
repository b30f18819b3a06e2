"""`/live`: the live page and its files, each under the version of them all, so that none ever meets another's."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ETag, hdrs, web

from exporter.web.answers import CACHE
from exporter.web.site import Site, problem

FOLDER: Final = Path(__file__).parent / "pages"
PAGE: Final = "index.html"
CHART: Final = "vendor/uPlot.esm.js"
ROLE: Final = "live"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing from other hosts, nothing inline, and no text ever becomes markup."""
FOR_EVER: Final = "private, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served; it is kept compressed, as nearly everybody takes it."""

    packed: bytes
    kind: str
    tag: str

    @property
    def body(self) -> bytes:
        """As it was written."""
        return gzip.decompress(self.packed)

    def answer(self, request: web.Request, caching: str) -> web.Response:
        """The file, compressed for whoever takes that, or 304 to whoever has it."""
        headers = {hdrs.CACHE_CONTROL: caching, hdrs.VARY: "Accept-Encoding", "Content-Security-Policy": POLICY}
        if any(known.value in (self.tag, "*") for known in request.if_none_match or ()):
            response = web.Response(status=304, headers=headers)
        elif "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            packed = {hdrs.CONTENT_TYPE: self.kind, hdrs.CONTENT_ENCODING: "gzip"}
            response = web.Response(body=self.packed, headers=headers | packed)
        else:
            response = web.Response(body=self.body, headers=headers | {hdrs.CONTENT_TYPE: self.kind})
        response.etag = ETag(self.tag, is_weak=True)
        return response


def _digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest()


def load(folder: Path = FOLDER) -> tuple[str, Mapping[str, File]]:
    """The version of all files of the page, and the files by their path; the chart library may not be among them."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.suffix in TYPES}
    bodies = {name: path.read_bytes() for name, path in found.items()}
    version = _digest(*(part for name, body in bodies.items() for part in (name.encode(), body)))
    chart = b"yes" if CHART in bodies else b"no"
    bodies[PAGE] = bodies[PAGE].replace(b"{version}", version.encode()).replace(b"{chart}", chart)
    kinds = {name: TYPES[Path(name).suffix] for name in bodies}
    return version, {n: File(gzip.compress(b, mtime=0), kinds[n], _digest(b)) for n, b in bodies.items()}


VERSION, FILES = load()
ROLES: Final[Mapping[str, str | None]] = {"/live": ROLE} | {f"/live/{VERSION}/{name}": ROLE for name in FILES}


async def page(request: web.Request) -> web.Response:
    """The live page."""
    return FILES[PAGE].answer(request, CACHE)


async def file(request: web.Request) -> web.Response:
    """A file of the live page; of another version than this there is none."""
    found = FILES.get(request.match_info["name"])
    if found is None or request.match_info["version"] != VERSION:
        return problem(404, "not_found", "there is no such page")
    return found.answer(request, FOR_EVER)


def routes(site: Site) -> list[web.RouteDef]:
    """The page and its files."""
    return [web.get("/live", page), web.get("/live/{version}/{name:.+}", file)]
