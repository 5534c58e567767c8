-- To begin with. Yours come after it: docs/operations.md
CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  body TEXT NOT NULL,
  created TEXT NOT NULL DEFAULT (datetime())
);
