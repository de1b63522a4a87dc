-- Keys, indexes, triggers, views and other objects that depend on tables.
ALTER TABLE clinic.person ADD PRIMARY KEY (id), ADD CONSTRAINT "unique e-mail" UNIQUE (email) DEFERRABLE;
ALTER TABLE clinic.every_type ADD PRIMARY KEY (id);
ALTER TABLE clinic.visit ADD PRIMARY KEY (person_id, number), ADD FOREIGN KEY (person_id) REFERENCES clinic.person,
    ADD CHECK (price >= 0) NO INHERIT;
ALTER TABLE clinic.visit_note ADD PRIMARY KEY (id), ADD CONSTRAINT "of a visit" FOREIGN KEY (person_id, visit_number)
    REFERENCES clinic.visit (person_id, number) MATCH FULL ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE clinic.department ADD PRIMARY KEY (id);
ALTER TABLE clinic.employee ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (department_id) REFERENCES clinic.department ON DELETE SET NULL DEFERRABLE,
    ADD FOREIGN KEY (manager_id) REFERENCES clinic.employee DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE clinic.department ADD FOREIGN KEY (head_id) REFERENCES clinic.employee DEFERRABLE INITIALLY DEFERRED; -- a circular reference
ALTER TABLE clinic.category ADD PRIMARY KEY (id), ADD FOREIGN KEY (parent_id) REFERENCES clinic.category;
ALTER TABLE clinic.product ADD PRIMARY KEY (id), ADD UNIQUE (code);
ALTER TABLE clinic.product_category ADD PRIMARY KEY (product_id, category_id),
    ADD FOREIGN KEY (product_id) REFERENCES clinic.product ON DELETE CASCADE,
    ADD FOREIGN KEY (category_id) REFERENCES clinic.category ON DELETE SET DEFAULT;
ALTER TABLE clinic."order" ADD PRIMARY KEY (id), ADD FOREIGN KEY (person_id) REFERENCES clinic.person;
ALTER TABLE clinic.order_line ADD PRIMARY KEY (order_id, position) INCLUDE (amount),
    ADD FOREIGN KEY (order_id) REFERENCES clinic."order", ADD FOREIGN KEY (product_id) REFERENCES clinic.product;
ALTER TABLE clinic.invoice ADD PRIMARY KEY (number), ADD FOREIGN KEY (order_id) REFERENCES clinic."order";
ALTER TABLE clinic.payment ADD FOREIGN KEY (invoice_number) REFERENCES clinic.invoice;
ALTER TABLE clinic.booking ADD CONSTRAINT "one at a time" EXCLUDE USING gist (during WITH &&) WHERE (room >= 0);
ALTER TABLE clinic.document ADD PRIMARY KEY (id);
ALTER TABLE clinic.setting ADD PRIMARY KEY (key), REPLICA IDENTITY FULL;
-- Existing rows violate these constraints, which are never validated.
ALTER TABLE clinic.old_rules ADD CONSTRAINT "at most all" CHECK (percentage <= 100) NOT VALID,
    ADD CONSTRAINT "somebody's" FOREIGN KEY (person_id) REFERENCES clinic.person NOT VALID;
ALTER TABLE clinic.measurement ADD PRIMARY KEY (id, at, device);
ALTER TABLE clinic.event ADD CHECK (id > 0);
ALTER TABLE clinic.session ADD PRIMARY KEY (id);

CREATE INDEX "by ""name"" & age" ON clinic.person (lower(family) text_pattern_ops, born DESC NULLS LAST) WHERE born > '1950-01-01';
CREATE INDEX ON clinic.person USING gin (profile jsonb_path_ops);
CREATE INDEX ON clinic.person USING hash (given);
CREATE INDEX ON clinic.visit USING brin (at) WITH (pages_per_range = 16);
CREATE INDEX ON clinic.visit_note USING gin (words);
CREATE INDEX ON clinic.measurement (device, at);
CREATE INDEX ON ONLY clinic.event (id); -- not created on the partitions
CREATE INDEX order_by_date ON clinic."order" (placed);
ALTER TABLE clinic."order" CLUSTER ON order_by_date;
CREATE STATISTICS clinic.person_names (ndistinct, dependencies, mcv) ON given, family FROM clinic.person;

CREATE TRIGGER touch BEFORE UPDATE ON clinic.person FOR EACH ROW WHEN (OLD.family IS DISTINCT FROM NEW.family) EXECUTE FUNCTION clinic.touch();
CREATE TRIGGER "never" BEFORE INSERT ON clinic.person FOR EACH ROW EXECUTE FUNCTION clinic.refuse();
ALTER TABLE clinic.person DISABLE TRIGGER "never";
-- A restore that fires triggers, or copies rows after creating them, would fail here.
CREATE TRIGGER refuse BEFORE INSERT ON clinic.twice FOR EACH ROW EXECUTE FUNCTION clinic.refuse();
CREATE TRIGGER refuse_all BEFORE TRUNCATE ON clinic.visit FOR EACH STATEMENT EXECUTE FUNCTION clinic.refuse();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON clinic.employee DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION clinic.refuse();
CREATE TRIGGER in_part BEFORE UPDATE ON clinic.measurement FOR EACH ROW EXECUTE FUNCTION clinic.refuse();

CREATE VIEW clinic.adults WITH (security_barrier) AS SELECT id, label, home FROM clinic.person WHERE born < '2000-01-01'
    WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW clinic.tree (id, path) AS
    SELECT id, ARRAY[id] FROM clinic.category WHERE parent_id IS NULL
    UNION ALL SELECT c.id, t.path || c.id FROM clinic.category c JOIN tree t ON c.parent_id = t.id AND NOT c.id = ANY (t.path);
CREATE MATERIALIZED VIEW clinic.turnover AS
    SELECT o.person_id, sum(l.total) AS total FROM clinic."order" o JOIN clinic.order_line l ON l.order_id = o.id GROUP BY 1;
CREATE UNIQUE INDEX ON clinic.turnover (person_id);
CREATE MATERIALIZED VIEW clinic.on_turnover AS SELECT count(*) AS people, sum(total) AS total FROM clinic.turnover;
CREATE MATERIALIZED VIEW clinic.never_filled AS SELECT * FROM clinic.twice WITH NO DATA;
CREATE RULE keep AS ON DELETE TO clinic.setting DO INSTEAD NOTHING;
CREATE RULE instead AS ON INSERT TO clinic.adults DO INSTEAD INSERT INTO clinic.twice VALUES (NEW.id, NEW.label);
CREATE FUNCTION clinic.as_text(clinic.twice) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'the same for all' $$;
CREATE CAST (clinic.twice AS text) WITH FUNCTION clinic.as_text(clinic.twice); -- a digest must not use this cast

ALTER TABLE clinic.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY "own rows" ON clinic.secret FOR SELECT TO PUBLIC USING (owner = current_user);
CREATE PUBLICATION "some tables" FOR TABLE clinic.person, clinic.document;
GRANT USAGE ON SCHEMA clinic TO PUBLIC;
GRANT SELECT (id, label) ON clinic.person TO PUBLIC;

COMMENT ON TABLE clinic.person IS E'It''s a "comment"\nwith a line break, $$ and \\';
COMMENT ON COLUMN clinic.person.label IS '{"json": true}';
COMMENT ON TYPE clinic.state IS '';
COMMENT ON CONSTRAINT "unique e-mail" ON clinic.person IS 'déjà vu';
COMMENT ON SCHEMA "Ärzte & Co" IS '-- DROP TABLE';
SELECT setval('clinic.visit_note_id_seq', 4711, false), nextval('clinic.person_id_seq'), nextval('clinic.invoice_number');
