// `npm run db:restore -- PATH`: restore a backup into the database of DATABASE_URL, which must be empty.
// In production, restore a backup into a new database, then switch the application to it.
import { existsSync } from "node:fs";

import pg from "pg";

import { environment, fail, run } from "./postgres-tools.mjs";

const path = process.argv[2];
if (!path) fail("Say which backup: npm run db:restore -- /path/to/backup");
if (!existsSync(path)) fail(`There is no backup at ${path}.`);

const env = environment();
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
const { rows } = await client.query(
  `SELECT count(*)::int AS tables FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'`,
);
await client.end();
if (rows[0].tables > 0) {
  fail(`${env.PGDATABASE} has ${rows[0].tables} tables. Nothing was changed. Create an empty database and restore there.`);
}
// Quoted, because pg_restore would read a name with "=" in it as a connection string.
const dbname = `dbname='${env.PGDATABASE.replace(/[\\']/g, "\\$&")}'`;
run("pg_restore", ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--dbname", dbname, path], env);
console.log(`${env.PGDATABASE} holds the backup ${path}`);
