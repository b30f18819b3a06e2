"""Writes Grafana's dashboards.

python -m tools.grafana            # writes grafana/dashboards/*.json
python -m tools.grafana --check    # exit 1 if a committed file is not current
"""

from __future__ import annotations

import argparse
import sys

from tools.grafana.page import FOLDER
from tools.grafana.pages import PAGES


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = {page.file(): page.text() for page in PAGES}
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text() != text]
    strangers = [file for file in FOLDER.glob("*.json") if file not in wanted]
    for file in stale + strangers:
        print(f"{file.name} is {'not current' if check else 'written' if file in wanted else 'removed'}")
        if not check:
            file.write_text(wanted[file]) if file in wanted else file.unlink()
    return 1 if check and stale + strangers else 0


if __name__ == "__main__":
    sys.exit(main())
