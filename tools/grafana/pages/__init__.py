"""Every page, in the order in which a trader reads them."""

from typing import Final

from tools.grafana.page import Page
from tools.grafana.pages import (
    distribution,
    execution,
    exporter,
    gas_network,
    memory_bank,
    opportunities,
    overview,
    prices_live,
    storage,
    system,
    trading,
)

PAGES: Final[tuple[Page, ...]] = (
    overview.PAGE,
    trading.PAGE,
    opportunities.PAGE,
    execution.PAGE,
    distribution.PAGE,
    gas_network.PAGE,
    prices_live.PAGE,
    memory_bank.PAGE,
    storage.PAGE,
    system.PAGE,
    exporter.PAGE,
)
