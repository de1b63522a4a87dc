// The production seed for `npm run db:seed:prod`. It runs the same statements on the same data.json as seed.py.
import { randomBytes, scryptSync } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";

import pg from "pg";

const EXAMPLES = ["yoursecurepassword123!"]; // published in guides, so not secret
const MIN_LENGTH = 16;

// Return the format that the application's sign-in expects: $scrypt$ln=15,r=8,p=3$salt$hash, with OWASP's parameters of 2024.
function hash(password) {
  const salt = randomBytes(16);
  const key = scryptSync(password, salt, 32, { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 });
  const base64 = (bytes) => bytes.toString("base64").replace(/=+$/, "");
  return `$scrypt$ln=15,r=8,p=3$${base64(salt)}$${base64(key)}`;
}

function refuse(message) {
  console.error(`${message} Nothing was changed.`);
  process.exit(1);
}

const password = process.env.ADMIN_DEFAULT_PASSWORD ?? "";
if (!password) refuse("ADMIN_DEFAULT_PASSWORD is not set.");
if (EXAMPLES.includes(password.toLowerCase())) refuse("ADMIN_DEFAULT_PASSWORD is the example from the guide.");
if ([...password].length < MIN_LENGTH) refuse(`ADMIN_DEFAULT_PASSWORD is shorter than ${MIN_LENGTH} characters.`);

const seedFile = (name) => new URL(name, import.meta.url);
const data = JSON.parse(readFileSync(seedFile("data.json"), "utf8"));
const statement = (name) => readFileSync(seedFile(`statements/${name}`), "utf8");

const url = process.env.DATABASE_URL;
if (!url) refuse("DATABASE_URL is not set.");
const schema = new URL(url).searchParams.get("schema") ?? "public";

const client = new pg.Client({ connectionString: url });
await client.connect();
try {
  await client.query("BEGIN");
  await client.query("SELECT set_config('search_path', quote_ident($1), false)", [schema]);
  for (const name of readdirSync(seedFile("statements")).sort()) {
    const list = /^\d+_(\w+)\.sql$/.exec(name)?.[1];
    if (!list) continue;
    const { rowCount } = await client.query(statement(name), [JSON.stringify(data[list])]);
    console.log(`${list}: ${rowCount} added, ${data[list].length} in total`);
  }
  const { email, name } = data.admin;
  const { rowCount } = await client.query(statement("admin.sql"), [email, name, hash(password)]);
  console.log(`admin ${email}: ${rowCount ? "created, must change the password at first sign-in" : "exists, unchanged"}`);
  await client.query("COMMIT");
} catch (error) {
  await client.query("ROLLBACK");
  console.error(`The seed failed and was rolled back: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.end();
}
