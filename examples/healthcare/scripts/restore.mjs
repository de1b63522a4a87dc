// `npm run db:restore -- PATH`: restore a backup into the database of DATABASE_URL, which must be empty.
// To roll back in production, restore into a new database, then point the application at it.
import { existsSync } from "node:fs";

import pg from "pg";

import { environment, fail, run } from "./postgres-tools.mjs";

const path = process.argv[2];
if (!path) fail("The path of the backup is missing. Usage: npm run db:restore -- /path/to/backup");
if (!existsSync(path)) fail(`${path} doesn't exist. Nothing was changed.`);

const env = environment();
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
const { rows } = await client.query(
  `SELECT count(*)::int AS tables FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'`,
);
await client.end();
if (rows[0].tables > 0) {
  fail(`${env.PGDATABASE} has ${rows[0].tables} tables. Nothing was changed. Restore into an empty database.`);
}
// Quoted, because pg_restore interprets a name that contains "=" as a connection string.
const dbname = `dbname='${env.PGDATABASE.replace(/[\\']/g, "\\$&")}'`;
run("pg_restore", ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--dbname", dbname, path], env);
console.log(`Restored ${path} into ${env.PGDATABASE}`);
