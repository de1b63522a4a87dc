-- $1: the list "packages" of data.json.
INSERT INTO "HealthPackage" ("slug", "name", "description", "priceMinor")
SELECT "slug", "name", "description", "priceMinor"
FROM jsonb_to_recordset($1::jsonb) AS package("slug" text, "name" text, "description" text, "priceMinor" int)
ON CONFLICT ("slug") DO NOTHING
