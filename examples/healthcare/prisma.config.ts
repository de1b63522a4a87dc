import { fileURLToPath } from "node:url";

import { PrismaPg } from "@prisma/adapter-pg";
import { defineConfig } from "prisma/config";

// The CLI connects to PostgreSQL through node-postgres and needs none of the engines that it usually downloads.
// It still requires both files: it runs the schema engine for a single command, which this small program
// implements, and only checks that the query engine exists.
const engine = fileURLToPath(new URL("scripts/schema-engine.mjs", import.meta.url));
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= engine;
process.env.PRISMA_QUERY_ENGINE_LIBRARY ??= engine;

// `migrate deploy` doesn't clear the timeout of its migration lock, which would keep Node.js alive for 10 s.
// An unreferenced timer still fires while the process runs, but doesn't keep the process alive.
const LOCK_TIMEOUT_MS = 10_000;
const originalSetTimeout = globalThis.setTimeout;
const patched = (run, ms, ...rest) => {
  const timer = originalSetTimeout(run, ms, ...rest);
  return ms === LOCK_TIMEOUT_MS ? timer.unref() : timer;
};
globalThis.setTimeout = Object.assign(patched, originalSetTimeout);

export default defineConfig({
  experimental: { adapter: true },
  engine: "js",
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  // Idle connections don't keep the process alive either.
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, allowExitOnIdle: true }),
});
