-- What the tests of the clients read (artists, albums, tracks) and what they write (notes: every test has rows of its own).
CREATE TABLE artists (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT, rating REAL, active BOOLEAN NOT NULL, info JSON, genres JSON
);
INSERT INTO artists VALUES
  (1, 'Aster', 'IE', 4.5, 1, '{"site":"aster.example","born":{"year":1990}}', '["rock","folk"]'),
  (2, 'Birch', 'NO', 3.25, 1, '{"born":{"year":2001}}', '["jazz"]'),
  (3, 'Cedar', NULL, NULL, 0, NULL, '["rock","jazz"]'),
  (4, 'birch (duo), live', 'NO', 2.5, 0, '{}', '[]');

CREATE TABLE albums (
  id INTEGER PRIMARY KEY, artist_id INTEGER NOT NULL REFERENCES artists (id), title TEXT NOT NULL, released INTEGER, liner TEXT
);
INSERT INTO albums VALUES
  (1, 1, 'Alpha', 1999, 'The quick brown fox jumps'),
  (2, 1, 'Beta', 2004, 'A lazy dog sleeps all day'),
  (3, 2, 'Gamma', 2010, 'Foxes and dogs are jumping'),
  (4, 3, 'Delta', NULL, NULL);
CREATE VIRTUAL TABLE albums_fts USING fts5 (liner, content = '', tokenize = 'porter unicode61');
INSERT INTO albums_fts (rowid, liner) SELECT id, liner FROM albums WHERE liner IS NOT NULL;

CREATE TABLE tracks (
  id INTEGER PRIMARY KEY, album_id INTEGER NOT NULL REFERENCES albums (id), name TEXT NOT NULL, seconds INTEGER NOT NULL
);
INSERT INTO tracks VALUES (1, 1, 'one', 100), (2, 1, 'two', 200), (3, 1, 'three', 300), (4, 2, 'four', 150), (5, 3, 'five', 50);

CREATE TABLE notes (
  id INTEGER PRIMARY KEY, owner TEXT NOT NULL, slug TEXT UNIQUE, body TEXT DEFAULT 'empty',
  stars INTEGER CONSTRAINT notes_stars_check CHECK (stars < 6)
);
INSERT INTO notes (id, owner, slug, body, stars) VALUES (1, 'nobody', 'first', 'keep', 1);

-- What the types of TypeScript are tried with beside them: a column of few values, one that is made, a view.
CREATE TABLE moods (
  id INTEGER PRIMARY KEY, album_id INTEGER NOT NULL UNIQUE REFERENCES albums (id), mood TEXT NOT NULL CHECK (mood IN ('calm', 'loud')),
  shout TEXT GENERATED ALWAYS AS (upper(mood))
);
INSERT INTO moods (id, album_id, mood) VALUES (1, 1, 'calm'), (2, 2, 'loud');
CREATE VIEW titles AS SELECT title, count(*) AS copies FROM albums GROUP BY title;
