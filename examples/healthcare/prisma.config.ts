import { fileURLToPath } from "node:url";

import { PrismaPg } from "@prisma/adapter-pg";
import { defineConfig } from "prisma/config";

// The CLI talks to PostgreSQL through node-postgres and needs none of the engines it would otherwise download.
// It still looks for them: the small program named here answers the one question it asks the schema engine, and
// of the query engine it only wants to know that the file exists.
const engine = fileURLToPath(new URL("scripts/schema-engine.mjs", import.meta.url));
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= engine;
process.env.PRISMA_QUERY_ENGINE_LIBRARY ??= engine;

// After `migrate deploy` the timer of its wait for the migration lock is left behind, and Node would sit out those 10 s.
// A timer without a reference still fires where something else is going on; only its end is not waited for.
const LOCK_WAIT_MS = 10_000;
const start = globalThis.setTimeout;
const unheld = (run, ms, ...rest) => (ms === LOCK_WAIT_MS ? start(run, ms, ...rest).unref() : start(run, ms, ...rest));
globalThis.setTimeout = Object.assign(unheld, start);

export default defineConfig({
  experimental: { adapter: true },
  engine: "js",
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  // Nor is an idle connection a reason to stay.
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, allowExitOnIdle: true }),
});
