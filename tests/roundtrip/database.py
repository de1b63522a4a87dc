"""Fill a database with every feature that an ordinary role can use: of any size, identical in every run."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from deployctl.postgres.connection import ConnectionSpec, connect

SQL = Path(__file__).parent / "sql"
# Disk space for one unit of rows with indexes, measured on version 15.
BYTES_PER_UNIT = 5_500
# A name that breaks code without correct quoting.
NAME = 'Klinik "Ost" $(id) -f %s/é'

# Statements that use an extension, for extensions that the server has and an ordinary role may install.
EXTENSIONS = {
    "citext": "CREATE TABLE x.ci (word x.citext PRIMARY KEY); INSERT INTO x.ci VALUES ('Ärzte'), ('x')",
    "hstore": """CREATE TABLE x.hs (h x.hstore); INSERT INTO x.hs VALUES ('"a b"=>"1", n=>NULL');
                 CREATE INDEX ON x.hs USING gin (h)""",
    "pg_trgm": "CREATE INDEX ON clinic.person USING gin (given x.gin_trgm_ops)",
    "pgcrypto": "CREATE TABLE x.hashed AS SELECT x.digest(n::text, 'sha1') AS h FROM generate_series(1, 9) n",
    "uuid-ossp": """CREATE TABLE x.ids (id uuid DEFAULT x.uuid_generate_v4(), n int);
                    INSERT INTO x.ids SELECT x.uuid_generate_v5(x.uuid_ns_dns(), n::text), n
                    FROM generate_series(1, 99) n""",
    "btree_gist": """CREATE TABLE x.rooms (room int, during int4range,
                                           EXCLUDE USING gist (room WITH =, during WITH &&));
                     INSERT INTO x.rooms SELECT n % 5, int4range(n, n + 1) FROM generate_series(1, 50) n""",
    "ltree": "CREATE TABLE x.paths (p x.ltree); INSERT INTO x.paths VALUES ('a.b.c'), ('')",
    "cube": "CREATE TABLE x.cubes (c x.cube); INSERT INTO x.cubes VALUES ('(1,2),(3,4)'), ('(1e-300)')",
    "intarray": "CREATE INDEX ON x.numbers USING gin (n x.gin__int_ops)",
    "unaccent": "CREATE VIEW x.plain AS SELECT x.unaccent(given) FROM clinic.person",
}


def fill(spec: ConnectionSpec, megabytes: int) -> list[str]:
    """Fill an empty database as its owner.

    Args:
        spec: connection of the owner.
        megabytes: approximate size on disk.

    Returns:
        The names of the installed extensions.
    """
    with connect(spec, application_name="roundtrip") as session:
        session.execute(
            "SELECT set_config('roundtrip.unit', %s, false)", (str(megabytes * 1_000_000 // BYTES_PER_UNIT),)
        )
        for script in sorted(SQL.glob("[0-9]_*.sql")):
            session.execute(script.read_bytes())
        for script in sorted(SQL.glob("since_*.sql")):
            if session.info.server_version // 10000 >= int(script.stem.removeprefix("since_")):
                session.execute(script.read_bytes())
        extensions = _create_extensions(session)
        _set_properties(session, spec)
        session.execute("VACUUM ANALYZE")
        session.execute("REFRESH MATERIALIZED VIEW clinic.on_turnover")
    return extensions


def damage(spec: ConnectionSpec) -> None:
    """Change rows, tables, types, sequences and large objects, like a failed deployment might."""
    with connect(spec, application_name="roundtrip") as session:
        session.execute("UPDATE clinic.product SET price = price + 1 WHERE id % 50 = 0")
        session.execute("DELETE FROM clinic.visit_note WHERE id % 10 = 0")
        session.execute("TRUNCATE clinic.event")
        session.execute('DROP TABLE clinic.every_type, "select"."from" CASCADE')
        session.execute("ALTER TYPE clinic.state ADD VALUE 'mistaken'")
        session.execute("ALTER TABLE clinic.measurement DETACH PARTITION clinic.measurement_rest")
        session.execute("CREATE TABLE clinic.mistaken (id serial)")
        session.execute("SELECT setval('clinic.invoice_number', 1000007)")
        session.execute("SELECT lo_unlink(scan) FROM clinic.document WHERE scan IS NOT NULL")


def _create_extensions(session: psycopg.Connection) -> list[str]:
    session.execute(
        "CREATE SCHEMA x; CREATE TABLE x.numbers AS SELECT ARRAY[n, n + 1] AS n FROM generate_series(1, 9) n"
    )
    with session.cursor(row_factory=scalar_row) as cursor:
        available = cursor.execute(
            """
            SELECT DISTINCT name FROM pg_available_extension_versions
            WHERE trusted AND name = ANY (%s) ORDER BY name
            """,
            (list(EXTENSIONS),),
        ).fetchall()
    for name in available:
        session.execute(sql.SQL("CREATE EXTENSION {} SCHEMA x").format(sql.Identifier(name)))
        session.execute(EXTENSIONS[name].encode())
    return available


def _set_properties(session: psycopg.Connection, spec: ConnectionSpec) -> None:
    """Set comment, settings, connection limit and privileges of the database itself."""
    name = sql.Identifier(spec.dbname)
    session.execute(sql.SQL("COMMENT ON DATABASE {} IS 'the clinic''s'").format(name))
    session.execute(sql.SQL("ALTER DATABASE {} SET search_path = clinic, public").format(name))
    session.execute(sql.SQL("ALTER DATABASE {} SET \"TimeZone\" = 'Europe/Berlin'").format(name))
    session.execute(sql.SQL("ALTER DATABASE {} SET application_name = 'it''s \\ \"a, b\"'").format(name))
    own = sql.Identifier(spec.user)
    session.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET work_mem = '5MB'").format(own, name))
    session.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 77").format(name))
    session.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
