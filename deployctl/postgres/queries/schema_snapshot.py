"""List the objects of a schema with their definitions, for comparison with a migration."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class SchemaObject:
    """An object that a migration can create; `definition` is a single line."""

    kind: str
    name: str
    definition: str

    def __str__(self) -> str:
        """Return kind, name and definition for display."""
        return f"{self.kind} {self.name}" + (f": {self.definition}" if self.definition else "")


def schema_objects(connection: psycopg.Connection, schema: str) -> list[SchemaObject]:
    """Return the objects of a schema in a fixed order, without those that belong to extensions."""
    with connection.cursor(row_factory=class_row(SchemaObject)) as cursor:
        return cursor.execute(
            """
            WITH namespace AS (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
            SELECT kind, name, coalesce(definition, '') AS definition FROM (
                SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                      WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table'
                                      WHEN 'c' THEN 'composite type' ELSE 'table' END AS kind,
                       c.relname::text AS name,
                       CASE WHEN c.relkind <> 'S' THEN
                         (SELECT string_agg(
                             a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                             || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
                             || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''),
                             ', ' ORDER BY a.attnum)
                          FROM pg_attribute a
                          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END AS definition,
                       'pg_class'::regclass AS catalog, c.oid
                FROM pg_class c WHERE c.relnamespace IN (TABLE namespace) AND c.relkind NOT IN ('i', 'I', 't')
                UNION ALL
                SELECT 'index', c.relname, pg_get_indexdef(c.oid)
                         || CASE WHEN x.indisvalid THEN '' ELSE ' (invalid)' END,
                       'pg_class'::regclass, c.oid
                FROM pg_class c JOIN pg_index x ON x.indexrelid = c.oid
                WHERE c.relnamespace IN (TABLE namespace)
                UNION ALL
                SELECT 'constraint', k.conname, 'on ' || t.relname || ' ' || pg_get_constraintdef(k.oid),
                       'pg_constraint'::regclass, k.oid
                FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
                WHERE k.connamespace IN (TABLE namespace)
                UNION ALL
                SELECT CASE y.typtype WHEN 'd' THEN 'domain' ELSE 'enum' END, y.typname,
                       CASE y.typtype WHEN 'd' THEN format_type(y.typbasetype, y.typtypmod)
                         ELSE (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
                               FROM pg_enum e WHERE e.enumtypid = y.oid) END,
                       'pg_type'::regclass, y.oid
                FROM pg_type y WHERE y.typnamespace IN (TABLE namespace) AND y.typtype IN ('d', 'e')
                UNION ALL
                SELECT 'function', p.proname, pg_get_function_identity_arguments(p.oid)
                         || ' (body ' || left(md5(p.prosrc), 8) || ')',
                       'pg_proc'::regclass, p.oid
                FROM pg_proc p WHERE p.pronamespace IN (TABLE namespace)
                UNION ALL
                SELECT 'trigger', g.tgname, pg_get_triggerdef(g.oid), 'pg_trigger'::regclass, g.oid
                FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
                WHERE t.relnamespace IN (TABLE namespace) AND NOT g.tgisinternal
            ) objects
            WHERE NOT EXISTS (SELECT FROM pg_depend d
                              WHERE d.classid = objects.catalog AND d.objid = objects.oid AND d.deptype = 'e')
            ORDER BY kind, name, definition
            """,
            {"schema": schema},
        ).fetchall()
