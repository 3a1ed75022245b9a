-- Indexes whose key is computed from values that are stored apart from their row

CREATE TABLE documents (id int PRIMARY KEY, body text);
CREATE INDEX documents_hash ON documents (md5(body));
CREATE INDEX documents_long ON documents (id) WHERE length(body) > 20000;
CREATE VIEW texts AS SELECT n, string_agg(md5((n * 1000 + i)::text), '') AS body FROM generate_series(1, 4) n, generate_series(1, 800) i GROUP BY n;
INSERT INTO documents SELECT n, body FROM texts WHERE n <= 2;
UPDATE documents SET body = texts.body FROM texts WHERE texts.n = documents.id + 2;
SET enable_seqscan = off;
SELECT id, length(body) FROM documents WHERE md5(body) = (SELECT md5(body) FROM texts WHERE n = 3);
SELECT id, length(body) FROM documents WHERE md5(body) = (SELECT md5(body) FROM texts WHERE n = 1);
SELECT id FROM documents WHERE length(body) > 20000 AND id < 10 ORDER BY id;
UPDATE documents SET body = 'short' WHERE id = 1;
SELECT id FROM documents WHERE length(body) > 20000 AND id < 10 ORDER BY id;
SELECT id FROM documents WHERE md5(body) = md5('short');
UPDATE documents SET body = texts.body FROM texts WHERE documents.id = 1 AND texts.n = 4;
SELECT id FROM documents WHERE length(body) > 20000 AND id < 10 ORDER BY id;
SELECT id FROM documents WHERE md5(body) = (SELECT md5(body) FROM texts WHERE n = 4) ORDER BY id;
