// Run PostgreSQL's own tools for the backup and restore scripts, without passwords or URLs as arguments.
import { spawnSync } from "node:child_process";

/** Return the environment for libpq, from DATABASE_URL. */
export function environment() {
  if (!process.env.DATABASE_URL) fail("DATABASE_URL is not set.");
  const url = new URL(process.env.DATABASE_URL);
  const database = decodeURIComponent(url.pathname.slice(1));
  const sslmode = url.searchParams.get("sslmode");
  return {
    ...process.env,
    PGHOST: url.searchParams.get("host") ?? decodeURIComponent(url.hostname),
    PGPORT: url.port || "5432",
    PGUSER: decodeURIComponent(url.username),
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: database,
    ...(sslmode ? { PGSSLMODE: sslmode } : {}),
  };
}

/** Run a tool and show its output. Exit with an error message if it fails. */
export function run(tool, argv, env) {
  const { status, error } = spawnSync(tool, argv, { env, stdio: "inherit" });
  if (error?.code === "ENOENT") fail(`${tool} is not installed, or not in PATH.`);
  if (status !== 0) fail(`${tool} failed (exit status ${status}).`);
}

export function fail(message) {
  console.error(message);
  process.exit(1);
}
