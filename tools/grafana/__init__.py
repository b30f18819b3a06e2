"""Dashboards as code: `queries` asks, `panels` draws, `page` lays out, and a page of `pages` reads like itself."""
