-- References to relations that are there, and out of reach.
CREATE TABLE a (id int, t text);
CREATE TABLE b (id int, u text);
INSERT INTO a VALUES (1, 'x'), (2, 'y');
INSERT INTO b VALUES (1, 'p');
SELECT * FROM a, (SELECT a.id) q;
SELECT * FROM a, LATERAL (SELECT a.id) q ORDER BY 1;
SELECT * FROM a, (SELECT * FROM (SELECT a.id) q) r;
SELECT * FROM a, b JOIN a c ON a.id = c.id;
SELECT * FROM a RIGHT JOIN LATERAL (SELECT a.id) q ON true;
SELECT * FROM a JOIN (SELECT a.id FROM b) q ON true;
SELECT * FROM (SELECT b.id) q, b;
SELECT a.id FROM a z;
SELECT * FROM (a JOIN b ON a.id = b.id) j WHERE a.id = 1;
-- What UPDATE and DELETE change is not seen by their FROM.
UPDATE a SET t = q.c FROM LATERAL (SELECT a.t c) q;
UPDATE a SET t = q.c FROM LATERAL (SELECT t c) q;
UPDATE a SET t = q.c FROM (SELECT a.t c) q;
UPDATE a SET t = g::text FROM generate_series(1, a.id) g;
UPDATE a SET t = q.u FROM b JOIN LATERAL (SELECT b.u || '!' AS u) q ON true WHERE b.id = a.id RETURNING a.*;
DELETE FROM a USING LATERAL (SELECT a.id c) q;
DELETE FROM a USING (SELECT a.id c) q;
DELETE FROM a USING b, LATERAL (SELECT b.id AS c) q WHERE q.c = a.id RETURNING a.id;
UPDATE a SET t = 'z' FROM a;
UPDATE a SET t = 'z' FROM b AS a;
SELECT * FROM a ORDER BY id;
