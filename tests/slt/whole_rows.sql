-- Whole rows of what ON CONFLICT proposes.
CREATE TABLE proposed (key int PRIMARY KEY, fruit text);
INSERT INTO proposed VALUES (23, 'Jack');
INSERT INTO proposed VALUES (23, 'Avocado') ON CONFLICT (key) DO UPDATE SET fruit = excluded.*::text RETURNING *;
INSERT INTO proposed AS p VALUES (23, 'Avocado') ON CONFLICT (key) DO UPDATE SET fruit = excluded::text || p::text WHERE p.* <> excluded.* RETURNING *, p;
INSERT INTO proposed AS p VALUES (23, 'x') ON CONFLICT (key) DO UPDATE SET fruit = excluded.fruit WHERE p.* <> excluded.* RETURNING p.*;
INSERT INTO proposed AS p VALUES (23, 'x') ON CONFLICT (key) DO UPDATE SET fruit = 'changed' WHERE p.* <> excluded.* RETURNING p.*;
INSERT INTO proposed AS p VALUES (23, 'x') ON CONFLICT (key) DO UPDATE SET fruit = 'same' WHERE p.* = excluded.* RETURNING p.*;
CREATE TABLE proposed_parts (key int PRIMARY KEY, fruit text) PARTITION BY RANGE (key);
CREATE TABLE proposed_low PARTITION OF proposed_parts FOR VALUES FROM (0) TO (100);
CREATE TABLE proposed_high (fruit text, key int NOT NULL);
ALTER TABLE proposed_parts ATTACH PARTITION proposed_high FOR VALUES FROM (100) TO (200);
INSERT INTO proposed_parts VALUES (1, 'one'), (101, 'many');
INSERT INTO proposed_parts AS p VALUES (1, 'uno'), (101, 'molti') ON CONFLICT (key) DO UPDATE SET fruit = excluded::text || p::text WHERE p.* <> excluded.* RETURNING *;
DROP TABLE proposed_parts;
DROP TABLE proposed;
