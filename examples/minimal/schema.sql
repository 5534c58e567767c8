-- What main.db was made of. Later changes are best made by `sqlitrest db migrate`.
CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  body TEXT NOT NULL CHECK (body <> ''),
  written_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
