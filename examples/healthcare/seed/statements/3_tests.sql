-- $1: the list "tests" of data.json.
INSERT INTO "DiagnosticTest" ("code", "name", "sample", "fastingHours", "turnaroundHours", "priceMinor")
SELECT "code", "name", "sample", "fastingHours", "turnaroundHours", "priceMinor"
FROM jsonb_to_recordset($1::jsonb) AS test(
    "code" text, "name" text, "sample" "SampleType", "fastingHours" int, "turnaroundHours" int, "priceMinor" int
)
ON CONFLICT ("code") DO NOTHING
