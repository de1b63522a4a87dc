// `npm run db:validate`: check that the database is what this application expects. If not, print every finding and exit 1.
import { readFileSync, readdirSync } from "node:fs";

import pg from "pg";

const projectFile = (name) => new URL(`../${name}`, import.meta.url);
const data = JSON.parse(readFileSync(projectFile("seed/data.json"), "utf8"));
const expected = { Plan: data.plans.length, HealthPackage: data.packages.length, DiagnosticTest: data.tests.length };
const findings = [];

const client = new pg.Client({ connectionString: process.env.DATABASE_URL, statement_timeout: 300_000 });
await client.connect();
const rows = async (sql, values) => (await client.query(sql, values)).rows;
try {
  for (const [table, count] of Object.entries(expected)) {
    const [{ found }] = await rows(`SELECT count(*)::int AS found FROM "${table}"`);
    console.log(`${table}: ${found} rows, ${count} expected`);
    if (found !== count) findings.push(`${table} has ${found} rows instead of ${count}.`);
  }
  const [{ admins }] = await rows(`SELECT count(*)::int AS admins FROM "User" WHERE "role" = 'ADMIN'`);
  console.log(`Administrators: ${admins}`);
  if (admins === 0) findings.push("There is no administrator. Run npm run db:seed:prod.");

  const applied = new Set(
    (
      await rows(
        `SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`,
      )
    ).map((row) => row.migration_name),
  );
  const names = readdirSync(projectFile("prisma/migrations"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  const pending = names.filter((name) => !applied.has(name));
  console.log(`Migrations: ${applied.size} applied, ${pending.length} pending`);
  if (pending.length) findings.push(`Pending migrations: ${pending.join(", ")}.`);

  const invalid = await rows(`SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid`);
  if (invalid.length) findings.push(`Invalid indexes: ${invalid.map((row) => row.name).join(", ")}.`);
  const unchecked = await rows(`SELECT conname AS name FROM pg_constraint WHERE NOT convalidated`);
  if (unchecked.length) findings.push(`Constraints not validated: ${unchecked.map((row) => row.name).join(", ")}.`);

  const [{ used, limit }] = await rows(
    `SELECT (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
            current_setting('max_connections')::int AS limit`,
  );
  console.log(`Connections: ${used} of ${limit}`);
  if (used > 0.8 * limit) findings.push(`${used} of ${limit} connections are in use, more than 80 %.`);
} catch (error) {
  findings.push(`The check failed: ${error.message}.`);
} finally {
  await client.end();
}
for (const finding of findings) console.error(finding);
console.log(findings.length ? `${findings.length} finding(s).` : "The database is what the application expects.");
process.exitCode = findings.length ? 1 : 0;
