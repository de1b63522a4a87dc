-- $1: the list "plans" of data.json. Existing rows are not changed.
INSERT INTO "Plan" ("slug", "name", "description", "priceMinor", "billing", "members")
SELECT "slug", "name", "description", "priceMinor", "billing", "members"
FROM jsonb_to_recordset($1::jsonb) AS plan(
    "slug" text, "name" text, "description" text, "priceMinor" int, "billing" "BillingPeriod", "members" int
)
ON CONFLICT ("slug") DO NOTHING
