"""What is left out of aiohttp's import, and that TLS works all the same."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter import lean
from tests.fake_rpc import Node
from tests.running import Running, eventually, unwatched

PROBE = """
import json, mimetypes, os, sys
from exporter import lean
places = list(mimetypes.knownfiles)
lean.import_aiohttp()
from aiohttp import connector
print(json.dumps({
    "frozenlist": "frozenlist._frozenlist" in sys.modules,
    "environment": [os.environ.get(n) for n in ("SSL_CERT_FILE", "SSL_CERT_DIR", "FROZENLIST_NO_EXTENSIONS")],
    "aiohttp knows": len(connector._SSL_CONTEXT_VERIFIED.get_ca_certs()),
    "we know": len(lean.authorities().get_ca_certs()),
    "kinds of files": mimetypes.guess_type("a.123")[0],
    "places of those": mimetypes.knownfiles == places != [],
}))
"""


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
               "-addext", "subjectAltName=DNS:localhost", "-out", "cert.pem", "-keyout", "key.pem"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def test_what_is_not_loaded_and_that_the_environment_is_as_before(pem: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("SSL_CERT_DIR", "FROZENLIST_NO_EXTENSIONS")}
    own = {"SSL_CERT_FILE": str(pem / "cert.pem")}
    ran = subprocess.run([sys.executable, "-c", PROBE], env=environment | own, capture_output=True, check=True)
    found = json.loads(ran.stdout)
    assert found["environment"] == [own["SSL_CERT_FILE"], None, None]
    assert (found["frozenlist"], found["aiohttp knows"], found["we know"]) == (False, 0, 1)
    assert (found["kinds of files"], found["places of those"]) == (None, True)


PARTS = """
import sys
from exporter import lean, yaml12
left_out = [name for name in ("yaml", "yaml.emitter", "yaml._yaml", "_yaml") if name in sys.modules]
import yaml
print(left_out, yaml12.parse("a: 1")[1], yaml.safe_load(yaml.safe_dump({"a": [1]})))
lean.import_aiohttp()
import bz2, lzma, shutil
print(len(bz2.decompress(bz2.compress(b"abc"))))
with lean.parts("yaml"):
    print(sys.modules["yaml"] is yaml)
with lean.parts("no_such_package"):
    pass
"""


MAIL = """
import sys
from exporter import lean
lean.import_aiohttp()
from aiohttp.helpers import parse_content_type
late = ("email._header_value_parser", "email.headerregistry", "typing_extensions")
print([name for name in late if name in sys.modules])
print(parse_content_type("text/plain; charset=utf-8; x=\\"a b\\"")[1]["x"])
import email, typing_extensions
from email.policy import default
print(email.message_from_string("To: a@b.example", policy=default)["to"].addresses[0].domain)
print(typing_extensions.TypeVar("T", default=int).__default__.__name__)
"""


def test_what_mail_and_type_checkers_need_comes_when_asked_for() -> None:
    ran = subprocess.run([sys.executable, "-c", MAIL], capture_output=True, check=True, text=True, env=unwatched())
    assert ran.stdout.split("\n") == ["[]", "a b", "b.example", "int", ""]


def test_parts_of_a_package_leave_it_whole_for_others() -> None:
    ran = subprocess.run([sys.executable, "-c", PARTS], capture_output=True, check=True, text=True)
    assert ran.stdout.splitlines() == ["[] [] {'a': [1]}", "3", "True"]


async def tls_node(pem: Path, made: Node) -> TestServer:
    app = web.Application()
    app.router.add_post("/{path:.*}", made.handle)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem / "cert.pem", pem / "key.pem")
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(ssl=context)
    return server


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_node_over_tls_is_believed_if_its_certificate_is(pem: Path, tmp_path: Path, trusted: bool) -> None:
    made = Node()
    made.answers["eth_blockNumber"] = "0x1"
    server = await tls_node(pem, made)
    settings: dict[str, Any] = {
        "chain": {"chain_id": 8453, "endpoints": [{"name": "secure", "http": f"https://localhost:{server.port}/"}]}
    }
    authorities = {"SSL_CERT_FILE": str(pem / "cert.pem") if trusted else os.devnull, "SSL_CERT_DIR": os.devnull}
    exporter = Running(settings, tmp_path, **authorities)
    try:
        tried = ("arb_rpc_requests_total", "arb_rpc_up")
        await eventually(lambda: asked(exporter, *tried))
        assert (exporter.value("arb_rpc_up", endpoint="secure") == 1) is trusted
        assert (made.requests > 0) is trusted
    finally:
        exporter.stop()
        await server.close()


def asked(exporter: Running, *names: str) -> bool:
    try:
        found = {name for name, _ in exporter.samples()}
    except OSError:
        return False
    return set(names) <= found


ZONES = """
import os, sys
import exporter.__main__
from zoneinfo import ZoneInfo
print(any(name.startswith("_sysconfigdata") for name in sys.modules), os.environ.get("PYTHONTZPATH"))
print(ZoneInfo("America/New_York"))
"""


@pytest.mark.parametrize("told", [{}, {"PYTHONTZPATH": "/usr/share/zoneinfo"}])
def test_time_zones_do_without_what_is_known_of_how_python_was_built(told: dict[str, str]) -> None:
    environment = {k: v for k, v in unwatched().items() if k != "PYTHONTZPATH"} | told
    ran = subprocess.run([sys.executable, "-c", ZONES], env=environment, capture_output=True, check=True, text=True)
    assert ran.stdout.split() == ["False", str(told.get("PYTHONTZPATH")), "America/New_York"]


def test_a_module_alone_is_that_module_and_its_package_stays_away() -> None:
    probe = (
        "import sys; from exporter import metrics; print(metrics.float_text(1e6), 'prometheus_client' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)
    assert ran.stdout.split() == ["1e+06", "False"]


@pytest.mark.parametrize(("package", "name"), [("prometheus_client", "nothing"), ("no_such_package", "utils")])
def test_a_module_that_is_not_there(package: str, name: str) -> None:
    with pytest.raises(ImportError, match="has no"):
        lean.alone(package, name)


def test_authorities_are_read_once() -> None:
    assert lean.authorities() is lean.authorities()
