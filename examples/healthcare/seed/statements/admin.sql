-- $1: e-mail, $2: name, $3: password hash. An existing administrator keeps the current password.

INSERT INTO "User" ("id", "email", "name", "role", "passwordHash", "mustChangePassword", "updatedAt")
VALUES (gen_random_uuid(), $1, $2, 'ADMIN', $3, true, now())
ON CONFLICT ("email") DO NOTHING
