-- Places to go. `spin up --sqlite` runs this at every start, so that each statement may be run again.
CREATE TABLE IF NOT EXISTS places (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  town TEXT NOT NULL,
  about TEXT NOT NULL DEFAULT '',
  is_open BOOLEAN NOT NULL DEFAULT TRUE CHECK (is_open IN (FALSE, TRUE)),
  UNIQUE (name, town)
);
CREATE INDEX IF NOT EXISTS places_town ON places (town);

CREATE TABLE IF NOT EXISTS reviews (
  id INTEGER PRIMARY KEY,
  place_id INTEGER NOT NULL REFERENCES places (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL,                        -- the claim `sub` of who wrote it
  stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5),
  text TEXT NOT NULL DEFAULT '',
  UNIQUE (place_id, user_id)
);

CREATE VIRTUAL TABLE IF NOT EXISTS places_fts USING fts5 (name, about, content = 'places', content_rowid = 'id');
CREATE TRIGGER IF NOT EXISTS places_indexed AFTER INSERT ON places BEGIN
  INSERT INTO places_fts (rowid, name, about) VALUES (NEW.id, NEW.name, NEW.about);
END;
CREATE TRIGGER IF NOT EXISTS places_indexed_again AFTER UPDATE OF name, about ON places BEGIN
  INSERT INTO places_fts (places_fts, rowid, name, about) VALUES ('delete', OLD.id, OLD.name, OLD.about);
  INSERT INTO places_fts (rowid, name, about) VALUES (NEW.id, NEW.name, NEW.about);
END;
CREATE TRIGGER IF NOT EXISTS places_no_longer_indexed AFTER DELETE ON places BEGIN
  INSERT INTO places_fts (places_fts, rowid, name, about) VALUES ('delete', OLD.id, OLD.name, OLD.about);
END;

INSERT OR IGNORE INTO places VALUES
  (1, 'Bryggen', 'Bergen', 'Wooden houses on the harbour, older than they look.', TRUE),
  (2, 'Fløyen', 'Bergen', 'A hill with a railway, and the sea behind it.', TRUE),
  (3, 'Fiskebrygga', 'Kristiansand', 'Fish, straight from the boats in the harbour.', TRUE),
  (4, 'Gamlebyen', 'Fredrikstad', 'A town inside a fortress. Closed for repairs.', FALSE);
INSERT OR IGNORE INTO reviews VALUES
  (1, 1, 'ida', 4, 'Go early.'),
  (2, 1, 'bo', 5, 'Go late.'),
  (3, 2, 'ida', 5, 'Walk up, ride down.'),
  (4, 4, 'bo', 3, 'Mind the moat.');
