// `npm run db:backup`: write a directory-format dump to BACKUP_DIR. It is renamed when it is complete.
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";

import { environment, run } from "./postgres-tools.mjs";

const folder = process.env.BACKUP_DIR ?? "/var/backups/postgresql";
const env = environment();
const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
const path = join(folder, `healthcare-${stamp}`);

mkdirSync(folder, { recursive: true, mode: 0o700 });
run("pg_dump", ["--format=directory", "--jobs=2", "--compress=1", "--lock-wait-timeout=30s", `--file=${path}.partial`], env);
renameSync(`${path}.partial`, path);
console.log(`Backup written to ${path}`);
