"""Storage: will the disk last, and are the backups fresh?"""

from tools.grafana.looks import (
    AGE,
    BYTES,
    CLOCK,
    NONE_DOWN,
    NONE_IS_FINE,
    NUMBER,
    RATIO,
    UP,
    YES_IS_BAD,
    falling,
    rising,
)
from tools.grafana.page import Page, row
from tools.grafana.panels import lines, stat
from tools.grafana.queries import Query, age, down, highest, lowest, rate, series, total
from tools.grafana.tables import Column, table

FREE, SIZE = "arb_host_filesystem_free_bytes", "arb_host_filesystem_size_bytes"
BACKUP = "arb_storage_backup_last_timestamp_seconds"
BACKUP_STEPS = rising(86_400, 172_800)

LASTS = [
    stat(
        "Stores missing",
        "Configured directories that are not there or cannot be looked at.",
        "suffix: down", down("arb_storage_up"), texts=NONE_DOWN, steps=NONE_IS_FINE, no_value="none configured",
    ),
    stat(
        "Oldest newest backup",
        "Time since the newest backup, of the store where it is oldest.",
        AGE, f"time() - {lowest(BACKUP)}", steps=BACKUP_STEPS, no_value="none known",
    ),
    stat(
        "Free on the fullest disk",
        "Share of the fullest file system that is free to ordinary users.",
        RATIO, f"min({series(FREE)} / {series(SIZE)})", decimals=1, steps=falling(0.05, 0.15),
    ),
    stat(
        "All stores",
        "Bytes in all configured stores.",
        BYTES, total("arb_storage_bytes"),
    ),
    stat(
        "Growth of all stores",
        "How fast they grew over up to the last hour.",
        "Bps", total("arb_storage_growth_bytes_per_second"), no_value="not known",
    ),
    stat(
        "Not looked at whole",
        "Whether a store holds more entries than the exporter looks at (limits.store_files): its size is a lower bound then.",
        NUMBER, highest("arb_storage_truncated"), texts=YES_IS_BAD,
    ),
]  # fmt: skip

STORES = [
    table(
        "Stores",
        "Each configured directory.",
        "store",
        Column("Up", lowest("arb_storage_up", "store"), texts=UP),
        Column("Size", total("arb_storage_bytes", "store"), BYTES, 1),
        Column("Files", total("arb_storage_files", "store"), NUMBER, 0),
        Column("Growth", total("arb_storage_growth_bytes_per_second", "store"), "Bps", 1),
        Column("Last written", age("arb_storage_last_write_timestamp_seconds", "store"), AGE),
        Column("Backups", total("arb_storage_backups", "store"), NUMBER, 0),
        Column("Backed up", age(BACKUP, "store"), AGE, None, BACKUP_STEPS),
        sort="Store", order="up", height=6,
    ),
]  # fmt: skip

OVER_TIME = [
    lines("Size", "Bytes in each store.", BYTES, Query(total("arb_storage_bytes", "store"), "{{store}}"), low=0),
    lines("Files", "Files in each store.", NUMBER, Query(total("arb_storage_files", "store"), "{{store}}"), low=0, decimals=0),
    lines(
        "Not written since",
        "How long nothing in a store has been written.",
        CLOCK, Query(age("arb_storage_last_write_timestamp_seconds", "store"), "{{store}}"), low=0,
    ),
]  # fmt: skip

DISKS = [
    lines(
        "Free space",
        "Share of each file system that is free to ordinary users.",
        RATIO, Query(f"min by (mountpoint) ({series(FREE)} / {series(SIZE)})", "{{mountpoint}}"), low=0, high=1, many=True,
    ),
    lines(
        "Free bytes",
        "Space left to ordinary users on each file system.",
        BYTES, Query(lowest(FREE, "mountpoint"), "{{mountpoint}}"), low=0, many=True,
    ),
    lines(
        "Disks",
        "Bytes per second read from and written to all disks of the host.",
        "Bps",
        Query(rate("arb_host_disk_read_bytes_total", "instance"), "read · {{instance}}"),
        Query(rate("arb_host_disk_written_bytes_total", "instance"), "written · {{instance}}"), low=0,
    ),
]  # fmt: skip

PAGE = Page(
    "storage",
    "storage",
    "Will the disk last, and are the backups fresh?",
    rows=(
        row("Will the disk last, and are the backups fresh?", LASTS, STORES),
        row("Stores over time", OVER_TIME),
        row("The host's disks", DISKS[:2], DISKS[2:]),
    ),
)
