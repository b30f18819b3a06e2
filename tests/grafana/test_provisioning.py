"""What Grafana is given at its start: data sources, dashboards, and defaults that are safe."""

import configparser
from typing import Any

import yaml

from tests.grafana.files import FOLDER, ROOT
from tools.grafana.feeds import INFINITY
from tools.grafana.page import CHOICES

PROVISIONING = FOLDER / "provisioning"


def provisioned(name: str) -> Any:
    return yaml.safe_load((PROVISIONING / name).read_text())


def settings() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read_string((FOLDER / "grafana.ini").read_text())
    return found


def test_the_data_source_is_provisioned_as_the_dashboards_expect_it() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    scraped = yaml.safe_load((ROOT / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert (source["uid"], source["type"], source["editable"]) == ("prometheus", "prometheus", False)
    assert CHOICES[0]["current"]["value"] == source["uid"]
    assert source["url"] == "${PROMETHEUS_URL}"
    assert source["jsonData"]["timeInterval"] == scraped == "15s"


def test_the_exporters_api_is_a_data_source_of_its_own() -> None:
    (source,) = provisioned("datasources/exporter-api.yml")["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == INFINITY
    assert source["editable"] is False
    assert source["url"] == "${ARB_EXPORTER_URL}"
    assert source["secureJsonData"] == {"basicAuthPassword": "${ARB_EXPORTER_PASSWORD}"}


def test_only_one_data_source_is_the_default() -> None:
    files = sorted((PROVISIONING / "datasources").glob("*.yml"))
    found = [source for file in files for source in yaml.safe_load(file.read_text())["datasources"]]
    assert [source["uid"] for source in found if source.get("isDefault")] == ["prometheus"]
    assert len({source["uid"] for source in found}) == len(found)


def test_dashboards_are_provisioned_from_files_and_stay_as_they_are() -> None:
    (provider,) = provisioned("dashboards/arb.yml")["providers"]
    assert (provider["type"], provider["allowUiUpdates"], provider["folder"]) == ("file", False, "Arbitrage")
    assert provider["disableDeletion"] is True
    assert provider["options"]["path"].startswith("/")


def test_the_first_page_is_the_overview_where_the_dashboards_are() -> None:
    (provider,) = provisioned("dashboards/arb.yml")["providers"]
    assert settings()["dashboards"]["default_home_dashboard_path"] == f"{provider['options']['path']}/overview.json"


def test_nobody_gets_in_by_default() -> None:
    found = settings()
    assert found["server"]["http_addr"] == "127.0.0.1"
    assert found["security"]["admin_password"].startswith("$__file{")
    assert not found["auth.anonymous"].getboolean("enabled")
    assert not found["users"].getboolean("allow_sign_up")


def test_grafana_tells_nobody_about_itself() -> None:
    found = settings()
    assert not any(found["analytics"].getboolean(key) for key in found["analytics"])
    assert not found["news"].getboolean("news_feed_enabled")
    assert not found["snapshots"].getboolean("external_enabled")
    assert found["security"].getboolean("disable_gravatar")
    assert "preinstall" not in found["plugins"]
