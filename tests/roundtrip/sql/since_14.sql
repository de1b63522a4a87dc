CREATE TABLE clinic.multi (id int PRIMARY KEY, free datemultirange, odd clinic.floatmultirange, num numeric);
INSERT INTO clinic.multi VALUES (1, '{[2020-01-01,2020-02-01),[2021-01-01,)}', '{}', '-Infinity'), (2, '{}', '{[1,2],(3,Infinity)}', 'Infinity');
CREATE INDEX ON clinic.person USING gist (int8range(id, id + 1)) INCLUDE (id);
CREATE FUNCTION clinic.standard(n int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n + 1; END;
CREATE STATISTICS clinic.of_an_expression ON (lower(family)), (id % 7) FROM clinic.person;
