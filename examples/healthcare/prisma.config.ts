import { fileURLToPath } from "node:url";

import { PrismaPg } from "@prisma/adapter-pg";
import { defineConfig } from "prisma/config";

// The CLI uses node-postgres and needs none of the engines that it would otherwise download. But it still looks for
// them: the script below replaces the schema engine, and of the query engine only the file must exist.
const engine = fileURLToPath(new URL("scripts/schema-engine.mjs", import.meta.url));
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= engine;
process.env.PRISMA_QUERY_ENGINE_LIBRARY ??= engine;

// `migrate deploy` leaves a timer of 10 s for the migration lock, which would delay the exit of Node.js. A timer
// without a reference still fires while the process runs, but does not keep it running.
const LOCK_WAIT_MS = 10_000;
const start = globalThis.setTimeout;
const unheld = (run, ms, ...rest) => (ms === LOCK_WAIT_MS ? start(run, ms, ...rest).unref() : start(run, ms, ...rest));
globalThis.setTimeout = Object.assign(unheld, start);

export default defineConfig({
  experimental: { adapter: true },
  engine: "js",
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  // Idle connections must not keep the process running either.
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, allowExitOnIdle: true }),
});
