-- Sequences: what ALTER SEQUENCE does to the numbers, and that a rollback takes it back with those given out since

CREATE SEQUENCE s;
SELECT nextval('s'), nextval('s'), nextval('s');
ALTER SEQUENCE s MINVALUE 10 START 10;
ALTER SEQUENCE s MAXVALUE 2;
ALTER SEQUENCE s MINVALUE 10 START 10 RESTART;
SELECT last_value, is_called FROM s;
ALTER SEQUENCE s MINVALUE 1 START 1 RESTART 4;
SELECT nextval('s');
ALTER SEQUENCE s INCREMENT 5;
SELECT * FROM s;
SELECT nextval('s');
BEGIN;
ALTER SEQUENCE s INCREMENT -1;
SELECT nextval('s'), nextval('s');
ROLLBACK;
SELECT last_value, is_called FROM s;
SELECT nextval('s');
BEGIN;
ALTER SEQUENCE s OWNED BY NONE;
SELECT nextval('s');
ROLLBACK;
SELECT last_value, is_called FROM s;
CREATE SEQUENCE fresh;
ALTER SEQUENCE fresh INCREMENT 10;
SELECT * FROM fresh;
SELECT nextval('fresh'), nextval('fresh'), lastval(), currval('s');

-- those of identity columns
CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, v text);
INSERT INTO t (v) VALUES ('a'), ('b');
ALTER TABLE t ALTER id SET MINVALUE 100;
ALTER TABLE t ALTER id SET INCREMENT 10;
INSERT INTO t (v) VALUES ('c');
BEGIN;
ALTER TABLE t ALTER id SET INCREMENT 1000;
INSERT INTO t (v) VALUES ('d') RETURNING id;
ROLLBACK;
INSERT INTO t (v) VALUES ('e');
SELECT * FROM t ORDER BY id;
