-- A table for each difficult name. Its column and key have the name, too, and it references the previous table.

DO $do$
DECLARE
    names text[] := ARRAY[
        '"', 'it''s "quoted"', 'two words', E'new\nline', '$(touch /tmp/pwned)', '`id`', '-leading', '--', 'select', 'user',
        'ünïcödé_名前_😀', repeat('x', 63), repeat('é', 31), '; DROP TABLE x', '%s %(name)s', '{}', E'tab\there', E'back\\slash',
        'CamelCase', 'a.b', '.', ' ', '*', '?', '$1', ':name', 'host=elsewhere', '/etc/passwd', 'TABLE DATA', '0', E'\r'];
    previous text;
    name text;
BEGIN
    FOREACH name IN ARRAY names LOOP
        EXECUTE format('CREATE TABLE "Ärzte & Co".%1$I (%1$I text CONSTRAINT %2$I PRIMARY KEY, %3$I text, "n°" serial)',
                       name, left(name, 15) || ' key', left(name, 15) || '→');
        EXECUTE format('INSERT INTO "Ärzte & Co".%1$I SELECT %1$L || n, %1$L FROM generate_series(1, 5) n', name);
        EXECUTE format('COMMENT ON TABLE "Ärzte & Co".%1$I IS %1$L', name);
        IF previous IS NOT NULL THEN
            EXECUTE format('ALTER TABLE "Ärzte & Co".%1$I ADD back text DEFAULT %3$L REFERENCES "Ärzte & Co".%2$I',
                           name, previous, previous || '1');
        END IF;
        previous := name;
    END LOOP;
END $do$;
