-- rows that leave a partition, and its triggers
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO log (what) VALUES (TG_TABLE_NAME || ' ' || TG_WHEN || ' ' || TG_OP || ' ' || coalesce(OLD::text, '-') || ' ' || coalesce(NEW::text, '-'));
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TABLE m (a int, b text) PARTITION BY LIST (a);
CREATE TABLE m1 PARTITION OF m FOR VALUES IN (1);
CREATE TABLE m2 (b text, a int);
ALTER TABLE m ATTACH PARTITION m2 FOR VALUES IN (2);
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON m FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON m FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO m VALUES (1, 'x');
UPDATE m SET a = 2, b = 'y' RETURNING tableoid::regclass, a, b;
SELECT what FROM log ORDER BY n;
TRUNCATE log;
UPDATE m SET b = 'z' RETURNING tableoid::regclass, a, b;
SELECT what FROM log ORDER BY n;
TRUNCATE log;
UPDATE m SET a = 3;
SELECT what FROM log ORDER BY n;
DROP TRIGGER a ON m;
DROP TRIGGER b ON m;
-- of DELETE only
CREATE TRIGGER d BEFORE DELETE ON m2 FOR EACH ROW EXECUTE FUNCTION note();
UPDATE m SET a = 1 RETURNING tableoid::regclass, a, b;
SELECT what FROM log ORDER BY n;
-- one that keeps the row
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER k BEFORE DELETE ON m1 FOR EACH ROW EXECUTE FUNCTION keep();
UPDATE m SET a = 2 RETURNING tableoid::regclass, a, b;
SELECT tableoid::regclass, a, b FROM m;
DROP TRIGGER k ON m1;
-- one that moves it
CREATE FUNCTION to_two() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 2; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE UPDATE ON m1 FOR EACH ROW EXECUTE FUNCTION to_two();
UPDATE m SET b = 'w' RETURNING tableoid::regclass, a, b;
SELECT tableoid::regclass, a, b FROM m;
DROP TRIGGER t ON m1;
-- a foreign key to the partition that a row leaves
CREATE UNIQUE INDEX ON m2 (a);
CREATE TABLE f (a int REFERENCES m2 (a));
INSERT INTO f VALUES (2);
UPDATE m SET a = 1;
DELETE FROM f;
UPDATE m SET a = 1;
SELECT tableoid::regclass, a, b FROM m;
DROP TABLE f, m, log;
DROP FUNCTION note;
DROP FUNCTION keep;
DROP FUNCTION to_two;
