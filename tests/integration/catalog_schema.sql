CREATE SCHEMA shop;
CREATE SCHEMA hidden;

CREATE TABLE shop.customers (id int PRIMARY KEY, name text, opens timetz);
CREATE TABLE shop.orders (
    id serial PRIMARY KEY,
    customer int REFERENCES shop.customers ON DELETE CASCADE ON UPDATE SET NULL,
    placed timestamptz DEFAULT now());
CREATE TABLE shop.lines (
    id int PRIMARY KEY, order_id int REFERENCES shop.orders ON DELETE SET DEFAULT);
CREATE TABLE shop.notes (order_id int REFERENCES shop.orders, text text);
CREATE TABLE hidden.orders (id int);
CREATE TABLE "Shop" (id int);

CREATE TABLE shop.events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')
    PARTITION BY RANGE (at);
CREATE TABLE shop.events_1_1 PARTITION OF shop.events_1
    FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE shop.animals (name text);
CREATE TABLE shop.machines (name text);
CREATE TABLE shop.robot_dogs () INHERITS (shop.animals, shop.machines);
CREATE UNLOGGED TABLE shop.scratch (id int);
CREATE TABLE shop.logs (at date) PARTITION BY RANGE (at);
CREATE UNLOGGED TABLE shop.logs_1 PARTITION OF shop.logs
    FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');

CREATE FUNCTION shop.pure(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION shop.looks(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT id FROM shop.orders';
CREATE FUNCTION shop.writes(int) RETURNS int LANGUAGE plpgsql
    AS $$ BEGIN EXECUTE 'INSERT INTO shop.' || 'notes VALUES (1)'; RETURN 1; END $$;
CREATE FUNCTION shop.sets(int) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT set_config('search_path', 'hidden', false) $$;
CREATE FUNCTION shop.overloaded(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION shop.overloaded(int, int) RETURNS int LANGUAGE sql AS 'SELECT shop.writes(1)';
CREATE FUNCTION shop.filled(int, int DEFAULT shop.writes(1)) RETURNS int IMMUTABLE LANGUAGE sql
    AS 'SELECT 1';
CREATE FUNCTION shop.of_row(shop.customers) RETURNS int LANGUAGE sql AS 'SELECT shop.writes(1)';
CREATE FUNCTION shop.trigger_function() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO shop.notes VALUES (1); RETURN NEW; END';
CREATE FUNCTION hidden.lower(text) RETURNS text LANGUAGE sql AS 'SELECT shop.writes(1)::text';
CREATE FUNCTION shop.writing_sum(int, int) RETURNS int LANGUAGE sql AS 'SELECT shop.writes($2)';
CREATE AGGREGATE shop.total(int) (SFUNC = shop.writing_sum, STYPE = int);
CREATE OPERATOR shop.!@# (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.writing_sum);

CREATE VIEW shop.plain AS SELECT c.name, o.id FROM shop.customers c JOIN shop.orders o ON true;
CREATE VIEW shop.nested AS SELECT p.name FROM shop.plain p, shop.events WHERE events.what = 'x';
CREATE VIEW shop.with_clock AS SELECT id FROM shop.orders WHERE placed > now();
CREATE VIEW shop.with_call AS SELECT shop.writes(id) FROM shop.orders;
CREATE VIEW shop.over_catalog AS SELECT relname FROM pg_class;
CREATE VIEW shop.locking AS SELECT id FROM shop.orders FOR UPDATE;
CREATE VIEW shop.with_trigger AS SELECT id FROM shop.lines;
CREATE MATERIALIZED VIEW shop.summary AS SELECT count(*) AS n FROM shop.orders;
CREATE MATERIALIZED VIEW shop.calling AS SELECT shop.writes(1) WITH NO DATA;
CREATE SEQUENCE shop.numbers;

CREATE TABLE shop.triggered (id int);
CREATE TRIGGER t AFTER UPDATE ON shop.triggered
    FOR EACH ROW EXECUTE FUNCTION shop.trigger_function();
CREATE TRIGGER v INSTEAD OF INSERT ON shop.with_trigger
    FOR EACH ROW EXECUTE FUNCTION shop.trigger_function();
CREATE TABLE shop.search (body text, words tsvector);
CREATE TRIGGER s BEFORE INSERT OR UPDATE ON shop.search FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger('words', 'pg_catalog.english', 'body');
CREATE TABLE shop.ruled (id int);
CREATE RULE r AS ON INSERT TO shop.ruled DO ALSO INSERT INTO shop.notes VALUES (1);
CREATE TABLE shop.defaults (id int, n int DEFAULT shop.writes(1));
CREATE TABLE shop.checked (id int CHECK (shop.writes(id) > 0));
CREATE DOMAIN shop.odd AS int CHECK (shop.writes(VALUE) > 0);
CREATE TABLE shop.with_domain (numbers shop.odd[]);
CREATE TABLE shop.below_triggered (id int REFERENCES shop.customers ON DELETE CASCADE);
CREATE TRIGGER b AFTER DELETE ON shop.below_triggered
    FOR EACH ROW EXECUTE FUNCTION shop.trigger_function();
ALTER TABLE shop.below_triggered DISABLE TRIGGER b;

CREATE TABLE shop.secured (id int, owner text);
ALTER TABLE shop.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON shop.secured
    USING (EXISTS (SELECT FROM shop.customers c WHERE c.name = secured.owner));
