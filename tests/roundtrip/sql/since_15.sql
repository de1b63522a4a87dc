CREATE TABLE clinic.nulls (a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO clinic.nulls VALUES (1, NULL), (NULL, NULL), (NULL, 1);
CREATE VIEW clinic.as_caller WITH (security_invoker) AS SELECT * FROM clinic.secret;
