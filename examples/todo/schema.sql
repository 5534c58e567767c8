-- What is to be done: each user has rows of their own.
CREATE TABLE todos (
  id INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL,                        -- the claim `sub` of who made it
  title TEXT NOT NULL CHECK (title <> ''),
  done BOOLEAN NOT NULL DEFAULT FALSE CHECK (done IN (FALSE, TRUE)),
  inserted_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX todos_user ON todos (user_id);
INSERT INTO todos (id, user_id, title, done, inserted_at) VALUES
  (1, 'ida', 'Buy milk', TRUE, '2026-01-05 09:00:00'),
  (2, 'ida', 'Learn to sail', FALSE, '2026-01-06 09:00:00'),
  (3, 'bo', 'Mend the roof', FALSE, '2026-01-06 10:00:00');
ANALYZE;
