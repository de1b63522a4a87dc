#!/usr/bin/env node
// Replaces Prisma's schema engine binary, which this project does not download (see prisma.config.ts).
// Prisma runs it only for `migrate resolve`, to check whether the database is reachable.
import pg from "pg";

const [command, flag, url, question] = process.argv.slice(2);
if (command !== "cli" || flag !== "--datasource" || question !== "can-connect-to-database") {
  console.error(`This engine answers can-connect-to-database only; it was asked: ${question ?? command}.`);
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
