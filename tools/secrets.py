"""Makes the passwords that docker-compose.yml mounts: `make secrets`. What is there already stays.

python -m tools.secrets [FOLDER]
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import bcrypt

USERS = ("viewer", "prometheus", "alertmanager", "bot")
"""Users of the exporter; what each may do is in packaging/compose/exporter.yml."""
NATS = """# Made by `make secrets`. Every message is on disk before it is acknowledged: slower, and nothing can be lost.
port: 4222
http_port: 8222
jetstream: {{store_dir: /data, max_memory_store: 64MB, max_file_store: 4GB, sync_interval: always}}
authorization: {{user: arb, password: "{password}"}}
"""


def main(arguments: list[str]) -> int:
    """Write whatever is missing."""
    folder = Path(arguments[0] if arguments else "secrets")
    folder.mkdir(mode=0o700, exist_ok=True)
    passwords = {name: _password(folder / f"{name}_password") for name in (*USERS, "grafana_admin", "bus")}
    _put(folder / "web.yml", _web({name: passwords[name] for name in USERS}))
    _put(folder / "bus_url", f"nats://arb:{passwords['bus']}@nats:4222\n")
    _put(folder / "nats.conf", NATS.format(password=passwords["bus"]))
    print(f"{folder}/: {', '.join(sorted(file.name for file in folder.iterdir()))}")
    print(f"Sign in to the exporter as viewer and to Grafana as admin with the passwords in {folder}/*_password.")
    return 0


def _password(file: Path) -> str:
    _put(file, secrets.token_urlsafe(24) + "\n")
    return file.read_text().strip()


def _put(file: Path, text: str) -> None:
    """A new file; the folder is closed to others, because containers read their files under users of their own."""
    if not file.exists():
        file.write_text(text)
        file.chmod(0o644)


def _web(passwords: dict[str, str]) -> str:
    hashes = {name: bcrypt.hashpw(text.encode(), bcrypt.gensalt(10)).decode() for name, text in passwords.items()}
    return "basic_auth_users:\n" + "".join(f'  {name}: "{text}"\n' for name, text in hashes.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
