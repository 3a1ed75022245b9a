-- Distances of infinite values, and of numbers of two types.
CREATE TABLE numbers (id int, f4 real, f8 double precision, n numeric);
INSERT INTO numbers VALUES (0, '-infinity', '-infinity', '-infinity'), (1, -3, -3, -3), (2, -1, -1, -1), (3, 0, 0, 0), (4, 1.1, 1.1, 1.1), (5, 1.12, 1.12, 1.12), (6, 2, 2, 2), (7, 1e30, 1e300, 1e300), (8, 'infinity', 'infinity', 'infinity'), (9, 'nan', 'nan', 'nan'), (10, NULL, NULL, NULL);
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f4 RANGE BETWEEN 'inf' PRECEDING AND 'inf' FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f8 RANGE BETWEEN 'inf' PRECEDING AND 'inf' FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY n RANGE BETWEEN 'inf' PRECEDING AND 'inf' FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f8 RANGE BETWEEN 'inf' PRECEDING AND 'inf' PRECEDING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY n RANGE BETWEEN 'inf' PRECEDING AND 'inf' PRECEDING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f8 RANGE BETWEEN 'inf' FOLLOWING AND 'inf' FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY n RANGE BETWEEN 'inf' FOLLOWING AND 'inf' FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f4 DESC RANGE BETWEEN 'inf' PRECEDING AND 1.1 FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY n DESC RANGE BETWEEN 'inf' FOLLOWING AND 'inf' FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f8 DESC NULLS FIRST RANGE BETWEEN 'inf' PRECEDING AND 'inf' PRECEDING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f4 RANGE BETWEEN 1.1 PRECEDING AND 1e300 FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY f8 RANGE BETWEEN 1.1 PRECEDING AND 1.7e308 FOLLOWING) ORDER BY id;
SELECT id, first_value(id) OVER w, last_value(id) OVER w FROM numbers WINDOW w AS (ORDER BY n RANGE BETWEEN 1.1 PRECEDING AND 2.2 FOLLOWING) ORDER BY id;
DROP TABLE numbers;
