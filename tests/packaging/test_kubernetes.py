"""The Kubernetes example: valid by the API's own schemas, of one piece, hardened, current with what it is made of."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from exporter import config
from tools import kubernetes

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((ROOT / "kustomization.yaml").read_text())
DOCUMENTS: list[dict[str, Any]] = [
    document for file in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((ROOT / file).read_text())
]
OURS = [document for document in DOCUMENTS if "coreos" not in document["apiVersion"]]
OPERATORS = [document for document in DOCUMENTS if "coreos" in document["apiVersion"]]
PODS = [document for document in OURS if document["kind"] == "Deployment"]
CHECK = """
import * as models from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
let text = '';
for await (const chunk of process.stdin) text += chunk;
for (const found of JSON.parse(text)) new models[found.kind](found).validate();
"""


@pytest.mark.parametrize("document", OURS, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_it_fits_the_schema(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def crd(documents: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "--input-type=module", "-e", CHECK], input=json.dumps(documents), text=True, capture_output=True,
        timeout=120, cwd=ROOT / "tools" / "assets", check=False,
    )  # fmt: skip


def test_what_is_the_operators_fits_the_operators_schema() -> None:
    assert {document["kind"] for document in OPERATORS} == {"ServiceMonitor", "PrometheusRule"}
    checked = crd(OPERATORS)
    assert checked.returncode == 0, checked.stderr
    assert crd([{"kind": "ServiceMonitor", "spec": {"endpoints": 3}}]).returncode != 0


def test_what_is_generated_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.kubernetes", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_all_rules_and_dashboards_are_there() -> None:
    rules = next(document for document in OPERATORS if document["kind"] == "PrometheusRule")
    named = {group["name"] for group in rules["spec"]["groups"]}
    written = {g["name"] for f in (ROOT / "alerting/rules").glob("*.yml") for g in kubernetes._groups(f)}
    assert named == written
    mapped = [file for entry in KUSTOMIZATION["configMapGenerator"] for file in entry["files"]]
    dashboards = {f"grafana/dashboards/{file.name}" for file in (ROOT / "grafana/dashboards").glob("*.json")}
    assert dashboards <= set(mapped)
    for file in mapped:
        path = ROOT / file.rpartition("=")[2]
        assert path.exists()
        assert path.stat().st_size < 1_000_000  # a ConfigMap takes no more


@pytest.mark.parametrize("document", PODS, ids=lambda d: d["metadata"]["name"])
def test_pods_can_do_nothing_they_need_not(document: dict[str, Any]) -> None:
    pod = document["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) >= 192
    assert {"startupProbe", "livenessProbe"} <= set(container)
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_exporter_is_alone_with_its_ledger_and_gateways_are_many() -> None:
    exporter, gateway = PODS
    assert (exporter["spec"]["replicas"], exporter["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert gateway["spec"]["replicas"] > 1


def test_everything_finds_everything() -> None:
    labels = {document["metadata"]["name"]: document["spec"]["template"]["metadata"]["labels"] for document in PODS}
    services = [document for document in OURS if document["kind"] == "Service"]
    monitor = next(document for document in OPERATORS if document["kind"] == "ServiceMonitor")
    (wanted,) = monitor["spec"]["selector"]["matchExpressions"]
    for service in services:
        assert service["spec"]["selector"] == labels[service["metadata"]["name"]]
        assert service["metadata"]["labels"][wanted["key"]] in wanted["values"]
        assert service["spec"]["ports"][0]["name"] == monitor["spec"]["endpoints"][0]["port"]


@pytest.mark.parametrize("name", ["exporter", "gateway"])
def test_the_settings_are_valid(name: str, tmp_path: Path) -> None:
    (tmp_path / "bus_url").write_text("nats://arb:password@nats:4222")
    text = (FOLDER / "settings" / f"{name}.yml").read_text().replace("/run/secrets/arb-exporter", str(tmp_path))
    loaded = config.read(text, tmp_path, {"RPC_HTTP_URL": "https://node.example"})
    assert not loaded.problems
    deployment = next(d for d in PODS if d["metadata"]["name"].endswith(name))
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--config.file=/etc/arb-exporter/{name}.yml" in arguments
    assert (arguments[0] == "gateway") is (name == "gateway")
    mounted = {m["mountPath"] for m in deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert {re.sub("/[^/]*$", "", a.partition("=")[2]) for a in arguments if ".file=" in a} <= mounted
