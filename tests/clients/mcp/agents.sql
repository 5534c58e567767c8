-- What agents read (artists, albums, tracks) and what they write (notes: every way to the server has rows of its own).
CREATE TABLE artists (id INTEGER PRIMARY KEY, name TEXT NOT NULL, rating REAL, active BOOLEAN NOT NULL);
INSERT INTO artists VALUES (1, 'Aster', 4.5, 1), (2, 'Birch', 3.25, 1), (3, 'Cedar', NULL, 0), (4, 'birch (duo), live', 2.5, 0);

CREATE TABLE albums (
  id INTEGER PRIMARY KEY, artist_id INTEGER NOT NULL REFERENCES artists (id), title TEXT NOT NULL, released INTEGER
);
INSERT INTO albums VALUES (1, 1, 'Alpha', 1999), (2, 1, 'Beta', 2004), (3, 2, 'Gamma', 2010), (4, 3, 'Delta', NULL);

CREATE TABLE tracks (
  id INTEGER PRIMARY KEY, album_id INTEGER NOT NULL REFERENCES albums (id), name TEXT NOT NULL, seconds INTEGER NOT NULL
);
INSERT INTO tracks VALUES (1, 1, 'one', 100), (2, 1, 'two', 200), (3, 1, 'three', 300), (4, 2, 'four', 150), (5, 3, 'five', 50);

CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, body TEXT DEFAULT 'empty', stars INTEGER);
