-- Types and functions that tables use. Works for an ordinary role on version 13 and later.
CREATE SCHEMA clinic;
CREATE SCHEMA "Ärzte & Co";
CREATE SCHEMA "select";

CREATE TYPE clinic.state AS ENUM ('new', 'it''s open', 'with, comma', 'déjà vu');
ALTER TYPE clinic.state ADD VALUE '"quoted"' BEFORE 'with, comma';
CREATE DOMAIN clinic.email AS text CONSTRAINT "looks like one" CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE DOMAIN clinic.percent AS numeric(5, 2) DEFAULT 0 NOT NULL CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE clinic.address AS (street text, city varchar(80), place point);
CREATE DOMAIN clinic.home AS clinic.address CHECK ((VALUE).city <> '');
CREATE TYPE clinic.floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION clinic.by_code (provider = libc, locale = 'C');
CREATE SEQUENCE clinic.invoice_number AS int INCREMENT 7 MINVALUE 1000 MAXVALUE 2000000000 CACHE 3 CYCLE;

CREATE FUNCTION clinic.with_vat(net numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT round(net * 1.19, 2) $$;
CREATE FUNCTION clinic.touch() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.changed_at := '2020-02-29 12:00:00+00'; -- a fixed time: the same everywhere
    RETURN NEW;
END $body$;
CREATE FUNCTION clinic.refuse() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''never called by a restore''; END';
CREATE PROCEDURE clinic.nothing_much(INOUT n int DEFAULT 3) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
CREATE AGGREGATE clinic.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE OPERATOR clinic.=== (LEFTARG = point, RIGHTARG = point, FUNCTION = point_eq);
CREATE TEXT SEARCH CONFIGURATION clinic.plain (COPY = pg_catalog.simple);
