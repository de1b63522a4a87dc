-- Rows, identical in every run. roundtrip.unit is a number of rows; large tables have a multiple of it.
CREATE FUNCTION pg_temp.units(factor numeric) RETURNS int LANGUAGE sql STABLE AS
    $$ SELECT greatest(3, current_setting('roundtrip.unit')::int * factor)::int $$;
CREATE FUNCTION pg_temp.noise(seed bigint, repeats int) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT string_agg(md5((seed * 1000 + n)::text), ' ') FROM generate_series(1, repeats) n $$;

INSERT INTO clinic.person (id, email, given, family, home, born, state, phones, profile, photo, balance, joined, uid)
SELECT n, 'p' || n || '@example.org', 'Given ' || n % 997, 'Ünal-' || md5(n::text),
       CASE WHEN n % 3 > 0 THEN ROW('Street "' || n || '"', 'City, ' || n % 50, point(n % 90, n % 180))::clinic.address END,
       '1930-01-01'::date + n % 30000, (enum_range(NULL::clinic.state))[1 + n % 5],
       ARRAY['+49 ' || n, NULL, '"', E'tab\there'], jsonb_build_object('n', n, 'text', md5(n::text), 'deep', '[{"x": null}]'),
       decode(md5(n::text), 'hex'), n * 1.0001, '2020-01-01 00:00:00+00'::timestamptz + n * interval '61 seconds',
       md5(n::text)::uuid
FROM generate_series(1, pg_temp.units(1)) n;
INSERT INTO clinic.visit (person_id, number, at, length, price)
SELECT n % pg_temp.units(1) + 1, n, '2021-01-01 00:00:00+00'::timestamptz + n * interval '7 minutes',
       n % 90 * interval '1 minute', n % 10000 / 7.0 FROM generate_series(1, pg_temp.units(3)) n;
INSERT INTO clinic.visit_note (person_id, visit_number, note, words)
SELECT n % pg_temp.units(1) + 1, n, pg_temp.noise(n, 4), to_tsvector('clinic.plain', pg_temp.noise(n, 2))
FROM generate_series(1, pg_temp.units(1)) n;
INSERT INTO clinic.department (name, head_id) SELECT 'Department ' || n, n FROM generate_series(1, 20) n;
INSERT INTO clinic.employee (department_id, manager_id, name)
SELECT n % 20 + 1, CASE WHEN n > 1 THEN n / 2 END, 'Employee ' || n FROM generate_series(1, 500) n;
INSERT INTO clinic.category SELECT n, CASE WHEN n > 1 THEN n / 3 + 1 END, 'Category ' || n FROM generate_series(1, 200) n;
INSERT INTO clinic.product SELECT n, 'C' || n, n % 500 + 0.99, ARRAY['tag' || n % 9, E'new\nline'], jsonb_build_object('p', n)
FROM generate_series(1, 1000) n;
INSERT INTO clinic.product_category SELECT n, n % 200 + 1 FROM generate_series(1, 1000) n;
INSERT INTO clinic."order" SELECT n, n % pg_temp.units(1) + 1, '2022-01-01'::timestamp + n * interval '3 minutes',
       CASE WHEN n % 5 = 0 THEN '' WHEN n % 7 = 0 THEN '\N' ELSE 'note ' || n END FROM generate_series(1, pg_temp.units(2)) n;
INSERT INTO clinic.order_line (order_id, position, product_id, amount, price)
SELECT n / 4 + 1, n % 4, n % 1000 + 1, n % 13, n % 1000 / 10.0 FROM generate_series(0, pg_temp.units(8) - 1) n;
INSERT INTO clinic.invoice (order_id, due) SELECT n, '2024-02-29'::date + n % 365 FROM generate_series(1, pg_temp.units(1)) n;
INSERT INTO clinic.payment SELECT number, '2024-03-01 00:00:00+00', number % 100 FROM clinic.invoice;
INSERT INTO clinic.booking SELECT n % 9, tstzrange('2025-01-01 00:00:00+00'::timestamptz + n * interval '1 hour',
       '2025-01-01 00:00:00+00'::timestamptz + n * interval '1 hour' + interval '59 minutes'), 'x' FROM generate_series(1, 500) n;
INSERT INTO clinic.document (id, title, body)
SELECT n, 'Document ' || n, decode(replace(pg_temp.noise(n, 250), ' ', ''), 'hex') FROM generate_series(1, pg_temp.units(0.2)) n;
INSERT INTO clinic.cache SELECT 'k' || n, to_jsonb(n) FROM generate_series(1, 300) n;
INSERT INTO clinic.secret SELECT n, CASE WHEN n % 2 = 0 THEN current_user ELSE 'somebody' END, 'hidden' FROM generate_series(1, 50) n;
INSERT INTO clinic.setting VALUES ('a', 'b'), ('', ''), (E'\\', NULL), ('$$', E'\r\n'), ('ß', U&'\+01F600');
INSERT INTO clinic.no_columns SELECT FROM generate_series(1, 7);
INSERT INTO clinic.only_nulls SELECT NULL, NULL, NULL FROM generate_series(1, 9);
INSERT INTO clinic.old_rules SELECT n, n * 10, -n FROM generate_series(1, 30) n;
INSERT INTO clinic.twice SELECT n % 2, 'same' FROM generate_series(1, 40) n;
INSERT INTO clinic.log SELECT n, '2024-01-01 00:00:00+00', 'parent' FROM generate_series(1, 100) n;
INSERT INTO clinic.log_archive SELECT n, '2019-01-01 00:00:00+00', pg_temp.noise(n, 1) FROM generate_series(1, pg_temp.units(1)) n;
INSERT INTO clinic.log_signed SELECT n, '2024-01-01 00:00:00+00', 'child', 'by', n FROM generate_series(1, 100) n;
INSERT INTO "select"."from" SELECT n, 'order ' || n FROM generate_series(1, 60) n;
INSERT INTO clinic.measurement SELECT n, '2022-01-01'::date + n % 1100, n % 7, sqrt(n), pg_temp.noise(n, 1)
FROM generate_series(1, pg_temp.units(5)) n;
INSERT INTO clinic.event SELECT n, CASE WHEN n % 6 > 0 THEN (enum_range(NULL::clinic.state))[n % 6] END,
       jsonb_build_object('id', n) FROM generate_series(1, pg_temp.units(2)) n;
INSERT INTO clinic.session SELECT md5(n::text)::uuid, '2024-06-30 23:59:59.999999+00'::timestamptz - n * interval '1 ms',
       pg_temp.noise(n, 3) FROM generate_series(1, pg_temp.units(1)) n;

INSERT INTO clinic.every_type VALUES
    (1, true, 'x', 'ab', 'name', 32767, -9223372036854775808, 'NaN', 'Infinity', 'NaN', '-$92,233,720,368,547,758.08',
     '24:00:00', '23:59:59.999999-15:59', 'infinity', '-infinity', '-178000000 years 11 mon 3 days 04:05:06.000007', 'infinity',
     '::1/128', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'101010101', B'', '{"b":1, "a" :  2, "b":3}',
     '{"b":1, "a" :  2, "b":3}', '$.a[*] ? (@ > 1)', '\x00ff0a5c', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '(1e-300,-0)',
     '{1,2,3}', '[(0,0),(1,1)]', '(2,2),(1,1)', '[(0,0),(1,1)]', '((0,0),(1,1),(2,0))', '<(0,0),1e300>', '''a b'':1A c:2',
     '''a'' & !b <-> c', 'FFFFFFFF/FFFFFFFF', 4294967295, 'pg_class', '[1,10)', '(,)', '[2020-01-01,infinity]', '[-Infinity,0.1)',
     '[2:3][-1:0]={{1,NULL},{3,4}}', ARRAY[ROW('"', ',', NULL), NULL]::clinic.address[], 99.99),
    (2, NULL, '', '', '', 0, 9223372036854775807, '-0', '4.9406564584124654e-324', '-0.000000000000000000000000000000000001', '0',
     '00:00', '00:00+15:59', '0001-01-01 BC', '294276-12-31 23:59:59.999999', '0', '4713-01-01 BC', '255.255.255.255', '::/0',
     NULL, NULL, B'000000000', B'1', '[]', '"\u00e9"', NULL, '', '00000000-0000-0000-0000-000000000000', '(NaN,Infinity)', NULL,
     NULL, NULL, '((0,0),(1,1))', NULL, NULL, '', NULL, '0/0', 0, NULL, 'empty', 'empty', '(,2020-01-01]', 'empty', '{}', '{}', 0),
    (3, false, E'\\377', 'é', repeat('é', 31), -32768, 0, '3.4028235e38', '1.7976931348623157e308', ('1' || repeat('0', 300))::numeric,
     NULL, NULL, NULL, NULL, '4713-01-01 00:00:00+00 BC', '178000000 years', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"": ""}',
     NULL, decode(repeat('00ff', 3000), 'hex'), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, 1);

-- Large objects: empty, one byte, around the chunk size of the digest, and many with several chunks.
SELECT lo_from_bytea(0, ''), lo_from_bytea(0, '\x00'), lo_from_bytea(0, convert_to(repeat('x', 1048575), 'UTF8')),
       lo_from_bytea(0, convert_to(repeat('y', 1048576), 'UTF8')), lo_from_bytea(0, convert_to(repeat('z', 1048577), 'UTF8'));
UPDATE clinic.document SET scan = lo_from_bytea(0, body || convert_to(repeat(title, 40 * id % 3000), 'UTF8')) WHERE id % 4 = 0;
