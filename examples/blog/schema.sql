-- A blog: people write posts, posts have tags and comments, and a full-text index finds them.
CREATE TABLE people (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL,
  about TEXT NOT NULL DEFAULT ''
);

CREATE TABLE posts (
  id INTEGER PRIMARY KEY,
  author_id INTEGER NOT NULL REFERENCES people (id),
  slug TEXT NOT NULL UNIQUE CHECK (slug <> '' AND slug NOT GLOB '*[^a-z0-9-]*'),
  title TEXT NOT NULL CHECK (title <> ''),
  body TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published')),
  published_at TEXT CHECK (published_at IS datetime(published_at)),
  CHECK ((status = 'published') = (published_at IS NOT NULL))
);
CREATE INDEX posts_author ON posts (author_id);
CREATE INDEX posts_published ON posts (published_at);

CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE posts_tags (
  post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  tag_id INTEGER NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
  PRIMARY KEY (post_id, tag_id)
) WITHOUT ROWID;
CREATE INDEX posts_tags_tag ON posts_tags (tag_id);

CREATE TABLE comments (
  id INTEGER PRIMARY KEY,
  post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  author TEXT NOT NULL CHECK (author <> ''),
  email TEXT,
  body TEXT NOT NULL CHECK (body <> ''),
  approved BOOLEAN NOT NULL DEFAULT FALSE CHECK (approved IN (FALSE, TRUE)),
  written_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX comments_post ON comments (post_id);

-- The index has no text of its own; the triggers keep it as the posts are (https://www.sqlite.org/fts5.html#external_content_tables).
CREATE VIRTUAL TABLE posts_fts USING fts5 (title, body, content = 'posts', content_rowid = 'id');
CREATE TRIGGER posts_indexed AFTER INSERT ON posts BEGIN
  INSERT INTO posts_fts (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body);
END;
CREATE TRIGGER posts_indexed_again AFTER UPDATE OF title, body ON posts BEGIN
  INSERT INTO posts_fts (posts_fts, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
  INSERT INTO posts_fts (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body);
END;
CREATE TRIGGER posts_no_longer_indexed AFTER DELETE ON posts BEGIN
  INSERT INTO posts_fts (posts_fts, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
END;

INSERT INTO people VALUES
  (1, 'Ada', 'ada@mail.example', 'Writes about numbers.'),
  (2, 'Bob', 'bob@mail.example', 'Writes about the sea.');
INSERT INTO posts VALUES
  (1, 1, 'on-zero', 'On zero', 'Zero is a number like any other, and unlike any other.', 'published', '2026-01-05 09:00:00'),
  (2, 2, 'tides', 'Tides', 'The sea comes twice a day, and so should you.', 'published', '2026-02-11 18:30:00'),
  (3, 1, 'on-infinity', 'On infinity', 'It is no number, and there are several of it.', 'published', '2026-02-20 07:15:00'),
  (4, 2, 'knots', 'Knots', 'First take a rope.', 'draft', NULL);
INSERT INTO tags VALUES (1, 'numbers'), (2, 'sea');
INSERT INTO posts_tags VALUES (1, 1), (2, 2), (3, 1), (4, 2);
INSERT INTO comments (id, post_id, author, email, body, approved, written_at) VALUES
  (1, 1, 'Cyd', 'cyd@mail.example', 'And one?', TRUE, '2026-01-05 10:12:00'),
  (2, 1, 'Spammer', 'buy@spam.example', 'Buy numbers.', FALSE, '2026-01-06 03:00:00'),
  (3, 2, 'Eve', NULL, 'Once a day will do.', TRUE, '2026-02-12 08:00:00');
ANALYZE;
