#!/usr/bin/env node
// A replacement for Prisma's schema engine binary, which this project does not download (see prisma.config.ts).
// Prisma runs it only to check in `migrate resolve` whether the database is reachable.
import pg from "pg";

const [command, flag, url, check] = process.argv.slice(2);
if (command !== "cli" || flag !== "--datasource" || check !== "can-connect-to-database") {
  console.error(`This engine only supports can-connect-to-database, not ${check ?? command}.`);
  process.exit(2);
}
const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
try {
  await client.connect();
} catch (error) {
  console.error(`The database cannot be reached: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.end().catch(() => {});
}
