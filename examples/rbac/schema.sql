-- A magazine: readers, authors, editors and an administrator.
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL);
CREATE TABLE articles (id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL REFERENCES users (id), title TEXT NOT NULL, body TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'review', 'published', 'locked')), fee INTEGER);
CREATE TABLE audit (id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, what TEXT NOT NULL);
CREATE TRIGGER articles_published AFTER UPDATE OF status ON articles WHEN NEW.status = 'published' BEGIN
  INSERT INTO audit (what) VALUES ('published ' || NEW.id);
END;
INSERT INTO users VALUES (1, 'Ada', 'author'), (2, 'Bob', 'author'), (3, 'Cyd', 'editor'), (4, 'Dan', 'admin');
INSERT INTO articles VALUES
  (10, 1, 'On numbers', 'One, two', 'published', 100), (11, 1, 'On letters', 'A, b', 'draft', 120),
  (12, 2, 'On maps', 'North', 'review', 90), (13, 2, 'On law', 'Closed', 'locked', 80);
