-- $1: the list "packageTests" of data.json, by slug and code.
INSERT INTO "PackageTest" ("packageId", "testId")
SELECT package."id", test."id"
FROM jsonb_to_recordset($1::jsonb) AS part("package" text, "test" text)
JOIN "HealthPackage" package ON package."slug" = part."package"
JOIN "DiagnosticTest" test ON test."code" = part."test"
ON CONFLICT DO NOTHING
