"""The production seed without Node.js. It runs the same statements on the same data.json as seed.mjs.

The database is that of DATABASE_URL, or of libpq's variables (PGHOST, PGDATABASE, …) if it is not set.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import sys
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg

HERE = Path(__file__).parent
EXAMPLES = {"yoursecurepassword123!"}  # published in guides, so not secret
MIN_LENGTH = 16
USE_SCHEMA = "SELECT set_config('search_path', quote_ident($1), false)"
# Parameters that only Prisma knows; libpq refuses a URL with them.
PRISMA_ONLY = {"schema", "connection_limit", "pool_timeout", "pgbouncer", "statement_cache_size"}


def main() -> None:
    """Add missing rows of the seed data in one transaction."""
    password = checked_password(os.environ.get("ADMIN_DEFAULT_PASSWORD", ""))
    data = json.loads((HERE / "data.json").read_text("utf-8"))
    url, schema = database()
    try:
        with psycopg.connect(url) as connection, psycopg.RawCursor(connection) as cursor:
            cursor.execute(USE_SCHEMA, [schema])
            for path in sorted((HERE / "statements").glob("[0-9]*_*.sql")):
                key = re.sub(r"^\d+_", "", path.stem)
                cursor.execute(path.read_bytes(), [json.dumps(data[key])])
                log(f"{key}: {cursor.rowcount} added, {len(data[key])} in total")
            admin = data["admin"]
            statement = (HERE / "statements" / "admin.sql").read_bytes()
            cursor.execute(statement, [admin["email"], admin["name"], hash_password(password)])
            result = (
                "created, must change the password at first sign-in"
                if cursor.rowcount
                else "exists, unchanged"
            )
            log(f"admin {admin['email']}: {result}")
    except psycopg.Error as error:
        sys.exit(f"The seed failed and was rolled back: {error}")


def checked_password(password: str) -> str:
    """Return the password, or exit with the reason why it is refused."""
    if not password:
        sys.exit("ADMIN_DEFAULT_PASSWORD is not set. Nothing was changed.")
    if password.lower() in EXAMPLES:
        sys.exit("ADMIN_DEFAULT_PASSWORD is the example from the guide. Nothing was changed.")
    if len(password) < MIN_LENGTH:
        sys.exit(f"ADMIN_DEFAULT_PASSWORD is shorter than {MIN_LENGTH} characters. Nothing was changed.")
    return password


def hash_password(password: str) -> str:
    """Hash the password as $scrypt$ln=15,r=8,p=3$salt$hash, with OWASP's parameters of 2024."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=2**15, r=8, p=3, dklen=32, maxmem=64 * 1024 * 1024)
    salt64, key64 = (base64.b64encode(part).decode().rstrip("=") for part in (salt, key))
    return f"$scrypt$ln=15,r=8,p=3${salt64}${key64}"


def database() -> tuple[str, str]:
    """Return the connection URL, which is empty if libpq's own variables are used, and the schema."""
    url = os.environ.get("DATABASE_URL", "")
    if not url and not os.environ.get("PGDATABASE"):
        sys.exit("DATABASE_URL is not set. Nothing was changed.")
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    query = {key: value for key, value in parameters.items() if key not in PRISMA_ONLY}
    url = parts._replace(query=urlencode(query, quote_via=quote)).geturl()
    return url, parameters.get("schema", "public")


def log(line: str) -> None:
    """Print a line and flush, so it appears immediately in a live log."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
