-- The example database of `cargo xtask serve`: a small record shop. Every name in it is made up.
-- It has a little of everything that SQLitREST reads from a schema: one-to-many, many-to-many and self references, a
-- composite foreign key, views, BOOLEAN, JSON and BLOB columns, a generated column, STRICT and WITHOUT ROWID tables.

PRAGMA foreign_keys = ON;
BEGIN;

CREATE TABLE genres (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  parent_id INTEGER REFERENCES genres (id)
) STRICT;

CREATE TABLE artists (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  country TEXT NOT NULL CHECK (length(country) = 2),
  formed INTEGER CHECK (formed BETWEEN 1900 AND 2100),
  active BOOLEAN NOT NULL DEFAULT TRUE CHECK (active IN (FALSE, TRUE)),
  influenced_by INTEGER CONSTRAINT artists_influence REFERENCES artists (id) ON DELETE SET NULL,
  links JSON CHECK (links IS NULL OR json_valid(links))
);

CREATE TABLE albums (
  id INTEGER PRIMARY KEY,
  artist_id INTEGER NOT NULL REFERENCES artists (id) ON DELETE CASCADE,
  title TEXT NOT NULL,
  released DATE CHECK (released IS date(released)),
  live BOOLEAN NOT NULL DEFAULT FALSE CHECK (live IN (FALSE, TRUE)),
  cover BLOB,
  UNIQUE (artist_id, title)
);

CREATE TABLE tracks (
  id INTEGER PRIMARY KEY,
  album_id INTEGER NOT NULL REFERENCES albums (id) ON DELETE CASCADE,
  position INTEGER NOT NULL CHECK (position > 0),
  name TEXT NOT NULL CHECK (name <> ''),
  genre_id INTEGER REFERENCES genres (id) ON DELETE SET NULL,
  milliseconds INTEGER NOT NULL CHECK (milliseconds > 0),
  price REAL NOT NULL DEFAULT 0.99 CHECK (price >= 0),
  explicit BOOLEAN NOT NULL DEFAULT FALSE CHECK (explicit IN (FALSE, TRUE)),
  length TEXT GENERATED ALWAYS AS (printf('%d:%02d', milliseconds / 60000, milliseconds / 1000 % 60)) VIRTUAL,
  UNIQUE (album_id, position)
);

CREATE TABLE playlists (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  public BOOLEAN NOT NULL DEFAULT FALSE CHECK (public IN (FALSE, TRUE)),
  tags JSON CHECK (tags IS NULL OR json_valid(tags))
);

CREATE TABLE playlist_tracks (
  playlist_id INTEGER NOT NULL REFERENCES playlists (id) ON DELETE CASCADE,
  track_id INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE,
  position INTEGER NOT NULL CHECK (position > 0),
  PRIMARY KEY (playlist_id, track_id)
) WITHOUT ROWID;

-- Of an album, or of one of its tracks where `position` is given; replies have no stars.
CREATE TABLE reviews (
  id INTEGER PRIMARY KEY,
  album_id INTEGER NOT NULL REFERENCES albums (id) ON DELETE CASCADE,
  position INTEGER,
  author TEXT NOT NULL,
  stars INTEGER CHECK (stars BETWEEN 1 AND 5),
  body TEXT,
  written TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
  reply_to INTEGER CONSTRAINT reviews_reply REFERENCES reviews (id) ON DELETE CASCADE,
  CONSTRAINT reviews_track FOREIGN KEY (album_id, position) REFERENCES tracks (album_id, position) ON DELETE CASCADE,
  CHECK (stars IS NOT NULL OR body IS NOT NULL)
);

CREATE INDEX tracks_genre ON tracks (genre_id);
CREATE INDEX playlist_tracks_track ON playlist_tracks (track_id);
CREATE INDEX reviews_track ON reviews (album_id, position);
CREATE INDEX reviews_reply ON reviews (reply_to);

CREATE VIEW album_overview AS
  SELECT al.id, al.artist_id, al.title, ar.name AS artist, count(t.id) AS tracks,
    sum(t.milliseconds) AS milliseconds, round(sum(t.price), 2) AS price
  FROM albums al
  JOIN artists ar ON ar.id = al.artist_id
  LEFT JOIN tracks t ON t.album_id = al.id
  GROUP BY al.id;

CREATE VIEW ratings AS
  SELECT album_id, count(stars) AS votes, avg(stars) AS stars
  FROM reviews
  GROUP BY album_id;

INSERT INTO genres (id, name, parent_id) VALUES
  (1, 'Jazz', NULL),
  (2, 'Electronic', NULL),
  (3, 'Folk', NULL),
  (4, 'Rock', NULL),
  (5, 'Classical', NULL),
  (6, 'Ambient', 2),
  (7, 'Bossa nova', 1),
  (8, 'Post-rock', 4),
  (9, 'Dub techno', 2),
  (10, 'Chamber pop', 3);

INSERT INTO artists (id, name, country, formed, active, influenced_by, links) VALUES
  (1, 'Alma Verdugo', 'CL', 1998, 1, NULL, '{"site": "https://alma.example", "social": ["@almaverdugo"]}'),
  (2, 'Anton Fjord Quartet', 'NO', 2004, 1, NULL, '{"site": "https://fjord.example"}'),
  (5, 'Café Tipografía', 'AR', 1987, 0, NULL, '{"archive": true, "pressings": 1200}'),
  (7, 'Kōen Ensemble', 'JP', 1993, 1, NULL, '{"site": "https://koen.example", "members": 9}'),
  (8, 'Low Tide Radio', 'US', 2002, 0, NULL, NULL),
  (9, 'The Paper Lanterns', 'IE', 1979, 0, NULL, '{"site": null}'),
  (3, 'Arc & Ember', 'GB', 2011, 1, 9, '{"site": "https://arcember.example", "social": []}'),
  (4, 'Björk Holm', 'IS', 2009, 1, 2, NULL),
  (6, 'Delay Lines', 'DE', 2014, 1, 8, '{"site": "https://delaylines.example", "social": ["@delay", "@lines"]}'),
  (10, 'O''Malley''s Second Cousin', 'IE', 2016, 1, 9, '{"social": ["@secondcousin"]}');

INSERT INTO albums (id, artist_id, title, released, live) VALUES
  (1, 1, 'Cartas sin sello', '2001-03-09', 0),
  (2, 1, 'Invierno austral', '2006-07-21', 0),
  (3, 1, 'Once ventanas', '2019-10-04', 0),
  (4, 2, 'Nattog', '2005-11-18', 0),
  (5, 2, 'Blue Hour Survey', '2010-02-12', 0),
  (6, 2, 'Live at the Boathouse', '2015-06-05', 1),
  (7, 3, 'Kindling', '2012-09-28', 0),
  (8, 3, 'Arc Length', '2015-04-17', 0),
  (9, 3, 'Afterglow, Vol. 2', '2021-01-29', 0),
  (10, 4, 'Ísafold', '2010-05-14', 0),
  (11, 4, 'Harbour Lights, Dimmed', '2016-12-02', 0),
  (12, 5, 'Tipo móvil', '1988-08-01', 0),
  (13, 5, 'Fe de erratas', '1991-04-26', 0),
  (14, 6, '1/4 Note', '2014-10-31', 0),
  (15, 6, 'Return Bus', '2017-03-24', 0),
  (16, 6, 'Null Island', '2022-06-17', 0),
  (17, 7, 'Garden Studies', '1995-09-15', 0),
  (18, 7, '四季の公園', '2003-04-04', 0),
  (19, 7, 'Quartets for Empty Playgrounds', '2018-11-09', 0),
  (20, 8, 'Mudflat Transmissions', '2003-02-07', 0),
  (21, 8, 'Shortwave Lullabies', '2007-10-19', 0),
  (22, 9, 'Paper Lanterns', '1980-05-30', 0),
  (23, 9, 'The Long Way to Ennis', '1984-09-21', 0),
  (24, 10, 'Twice Removed', '2017-03-17', 0),
  (25, 10, 'Relative Minor', '2023-05-26', 0);

INSERT INTO tracks (id, album_id, position, name, genre_id, milliseconds, price, explicit) VALUES
  (1, 1, 1, 'Cartas sin sello', 3, 195755, 0.99, 0),
  (2, 1, 2, 'La estación vacía', 3, 171581, 0.99, 0),
  (3, 1, 3, 'Mar de fondo', 3, 241468, 0.99, 0),
  (4, 1, 4, 'Tres naranjas', 3, 160622, 0.99, 0),
  (5, 1, 5, 'Vuelve el cartero', 3, 225389, 0.99, 0),
  (6, 2, 1, 'Primera nevada', 3, 201605, 0.99, 0),
  (7, 2, 2, 'Austral', 3, 158605, 0.99, 0),
  (8, 2, 3, 'Leña', 3, 221414, 0.99, 0),
  (9, 2, 4, 'El faro de noche', 3, 155740, 0.99, 0),
  (10, 2, 5, 'Sur', 3, 211101, 0.99, 0),
  (11, 3, 1, 'Ventana uno', 10, 171443, 1.09, 0),
  (12, 3, 2, 'Cortinas', 10, 174561, 1.09, 0),
  (13, 3, 3, 'Un balcón en Valparaíso', 10, 224465, 1.09, 0),
  (14, 3, 4, 'La última ventana', 10, 284614, 1.09, 0),
  (15, 4, 1, 'Nattog', 1, 257555, 0.99, 0),
  (16, 4, 2, 'Platform Three', 1, 278884, 0.99, 0),
  (17, 4, 3, 'Sleeping Car', 1, 365584, 0.99, 0),
  (18, 4, 4, 'Ål', 1, 434283, 1.29, 0),
  (19, 4, 5, 'Morning, Bergen', 1, 354788, 0.99, 0),
  (20, 5, 1, 'Blue Hour Survey', 1, 316087, 0.99, 0),
  (21, 5, 2, 'Theodolite', 1, 440406, 1.29, 0),
  (22, 5, 3, 'Contour Lines', 1, 240991, 0.99, 0),
  (23, 5, 4, 'North by Feel', 1, 415141, 1.29, 0),
  (24, 5, 5, 'Benchmark 14', 1, 293121, 0.99, 0),
  (25, 6, 1, 'Nattog (live)', 1, 261942, 1.09, 0),
  (26, 6, 2, 'Contour Lines (live)', 1, 256266, 1.09, 0),
  (27, 6, 3, 'Boathouse Blues', 1, 297169, 1.09, 0),
  (28, 6, 4, 'Encore in Five', 1, 406059, 1.29, 0),
  (29, 7, 1, 'Kindling', 4, 200280, 0.99, 0),
  (30, 7, 2, 'Match Strike', 4, 264119, 0.99, 0),
  (31, 7, 3, 'Paper, Then Wood', 4, 273246, 0.99, 0),
  (32, 7, 4, 'Slow Draft', 4, 230804, 0.99, 0),
  (33, 7, 5, 'Ash Wednesday Off', 4, 258728, 0.99, 1),
  (34, 8, 1, 'Chord', 4, 181499, 1.09, 0),
  (35, 8, 2, 'Tangent', 4, 180991, 1.09, 0),
  (36, 8, 3, 'Sagitta', 4, 204298, 1.09, 0),
  (37, 8, 4, 'Radius of Doubt', 4, 279853, 1.09, 0),
  (38, 8, 5, 'Full Circle', 4, 239594, 1.09, 0),
  (39, 9, 1, 'Eleven Minutes of Embers', 8, 434013, 1.29, 0),
  (40, 9, 2, 'Warm Stone', 8, 518695, 1.29, 0),
  (41, 9, 3, '"Quiet" Is a Verb', 8, 477393, 1.29, 0),
  (42, 9, 4, 'Afterglow', 8, 429527, 1.29, 0),
  (43, 10, 1, 'Ísafold', 6, 510865, 1.29, 0),
  (44, 10, 2, 'Under the Glacier', 6, 484825, 1.29, 0),
  (45, 10, 3, 'Breath 1', 6, 360638, 0.99, 0),
  (46, 10, 4, 'Breath 2', 6, 450817, 1.29, 0),
  (47, 10, 5, 'Melt', 6, 437378, 1.29, 0),
  (48, 11, 1, 'Buoy', 6, 532912, 1.29, 0),
  (49, 11, 2, 'Sodium', 6, 493138, 1.29, 0),
  (50, 11, 3, 'Harbour Lights, Dimmed', 6, 372607, 1.09, 0),
  (51, 11, 4, 'Last Ferry', 6, 561587, 1.29, 0),
  (52, 11, 5, 'Fog Signal', 6, 326231, 0.00, 0),
  (53, 12, 1, 'Tipo móvil', 7, 184638, 0.99, 0),
  (54, 12, 2, 'Garamond de noche', 7, 226506, 0.99, 0),
  (55, 12, 3, 'Bastardilla', 7, 151770, 0.99, 0),
  (56, 12, 4, 'Versalitas', 7, 193386, 0.99, 0),
  (57, 12, 5, 'Punto y coma;', 7, 137842, 0.99, 0),
  (58, 13, 1, 'Fe de erratas', 7, 215524, 0.99, 0),
  (59, 13, 2, 'Donde dice «amor»', 7, 227424, 0.99, 0),
  (60, 13, 3, 'Debe decir', 7, 203768, 0.99, 0),
  (61, 13, 4, 'Página en blanco', 7, 241121, 0.99, 0),
  (62, 13, 5, 'Colofón', 7, 171747, 0.99, 0),
  (63, 14, 1, '1/4', 9, 449257, 1.29, 0),
  (64, 14, 2, '1/8 dotted', 9, 423672, 1.29, 0),
  (65, 14, 3, 'Feedback 70%', 9, 420003, 1.29, 0),
  (66, 14, 4, 'Tape Head', 9, 388648, 0.99, 0),
  (67, 14, 5, 'Wet/Dry', 9, 485931, 1.29, 0),
  (68, 15, 1, 'Send A', 9, 512476, 1.29, 0),
  (69, 15, 2, 'Send B', 9, 393183, 1.09, 0),
  (70, 15, 3, 'Return Bus', 9, 441362, 1.29, 0),
  (71, 15, 4, 'Pre-Fader', 9, 288379, 1.09, 0),
  (72, 15, 5, 'Night Service N7', 9, 450828, 1.29, 0),
  (73, 16, 1, '0.0', 2, 336190, 1.09, 0),
  (74, 16, 2, 'Gulf of Nothing', 2, 403653, 1.29, 0),
  (75, 16, 3, 'Weather Buoy 13010', 2, 370275, 1.09, 0),
  (76, 16, 4, 'NULL', 2, 265496, 1.09, 0),
  (77, 16, 5, 'Prime Meridian', 2, 285229, 1.09, 0),
  (78, 17, 1, 'Study in Moss', 5, 453849, 1.29, 0),
  (79, 17, 2, 'Study in Gravel', 5, 285866, 0.99, 0),
  (80, 17, 3, 'Stepping Stones', 5, 400040, 1.29, 0),
  (81, 17, 4, 'Water Basin', 5, 323692, 0.99, 0),
  (82, 17, 5, 'Borrowed Scenery', 5, 310444, 0.99, 0),
  (83, 18, 1, '春 Spring', 5, 295328, 0.99, 0),
  (84, 18, 2, '夏 Summer', 5, 479740, 1.29, 0),
  (85, 18, 3, '秋 Autumn', 5, 313628, 0.99, 0),
  (86, 18, 4, '冬 Winter', 5, 344379, 0.99, 0),
  (87, 19, 1, 'Swings', 5, 381646, 1.09, 0),
  (88, 19, 2, 'Slide', 5, 506569, 1.29, 0),
  (89, 19, 3, 'Sandpit at Dusk', 5, 300951, 1.09, 0),
  (90, 19, 4, 'Climbing Frame', 5, 396788, 1.09, 0),
  (91, 19, 5, 'Home Time', 5, 422854, 1.29, 0),
  (92, 20, 1, 'Mudflat', 2, 382259, 0.99, 0),
  (93, 20, 2, 'Sandpiper', 2, 369759, 0.99, 0),
  (94, 20, 3, 'Carrier Wave', 2, 378476, 0.99, 0),
  (95, 20, 4, 'Numbers Station', 2, 264292, 0.99, 0),
  (96, 20, 5, 'Slack Water', 2, 290982, 0.99, 0),
  (97, 21, 1, 'Lullaby 4625 kHz', 6, 391944, 0.99, 0),
  (98, 21, 2, 'Lullaby 6840 kHz', 6, 535384, 1.29, 0),
  (99, 21, 3, 'Static Blanket', 6, 555460, 1.29, 0),
  (100, 21, 4, 'Sign-off', 6, 335201, 0.99, 0),
  (101, 22, 1, 'Lantern Song', 3, 175126, 0.99, 0),
  (102, 22, 2, 'The Ferryman''s Change', 3, 182915, 0.99, 0),
  (103, 22, 3, 'Tallow and Tin', 3, 183108, 0.99, 0),
  (104, 22, 4, 'Reel for a Rainy Porch', 3, 218273, 0.99, 0),
  (105, 22, 5, 'Blow Out the Light', 3, 232830, 0.99, 0),
  (106, 23, 1, 'The Long Way to Ennis', 3, 187218, 0.99, 0),
  (107, 23, 2, 'Signpost', 3, 151072, 0.99, 0),
  (108, 23, 3, 'Bread and Borrowed Shoes', 3, 209047, 0.99, 0),
  (109, 23, 4, 'Two Fiddles', 3, 202103, 0.99, 0),
  (110, 23, 5, 'Kitchen Air', 3, 229646, 0.99, 0),
  (111, 24, 1, 'Twice Removed', 3, 283695, 1.09, 0),
  (112, 24, 2, 'Family Tree (Some Branches Missing)', 3, 246996, 1.09, 0),
  (113, 24, 3, 'The Wake That Wasn''t', 3, 222539, 1.09, 1),
  (114, 24, 4, 'Aunt Bridie''s Waltz', 3, 236808, 1.09, 0),
  (115, 25, 1, 'Relative Minor', 4, 279184, 1.09, 0),
  (116, 25, 2, 'It''s Not a Jig', 4, 180098, 1.09, 0),
  (117, 25, 3, 'Capo on Nine', 4, 314750, 1.09, 0),
  (118, 25, 4, 'Third Cousin''s Wedding', 4, 295710, 1.09, 1),
  (119, 25, 5, '100% Wool', 4, 310766, 1.09, 0);

-- A 1×1 GIF stands for the covers.
UPDATE albums SET cover = x'47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'
WHERE id IN (1, 4, 9, 18);

INSERT INTO playlists (id, name, public, tags) VALUES
  (1, 'Late train', 1, '["night", "slow"]'),
  (2, 'Kitchen', 1, '["cooking"]'),
  (3, 'Focus', 1, '["work", "no words", {"bpm": [60, 90]}]'),
  (4, 'Weather', 0, NULL),
  (5, 'Odd titles', 0, '[]'),
  (6, 'Empty', 1, '["to do"]');

INSERT INTO playlist_tracks (playlist_id, track_id, position) VALUES
  (1, 15, 1),
  (1, 17, 2),
  (1, 72, 3),
  (1, 51, 4),
  (1, 100, 5),
  (1, 9, 6),
  (1, 42, 7),
  (2, 110, 1),
  (2, 4, 2),
  (2, 54, 3),
  (2, 108, 4),
  (2, 116, 5),
  (2, 8, 6),
  (3, 79, 1),
  (3, 45, 2),
  (3, 46, 3),
  (3, 67, 4),
  (3, 94, 5),
  (3, 81, 6),
  (3, 21, 7),
  (3, 40, 8),
  (4, 6, 1),
  (4, 52, 2),
  (4, 47, 3),
  (4, 104, 4),
  (4, 75, 5),
  (4, 86, 6),
  (4, 3, 7),
  (5, 76, 1),
  (5, 73, 2),
  (5, 41, 3),
  (5, 59, 4),
  (5, 57, 5),
  (5, 119, 6),
  (5, 64, 7);

INSERT INTO reviews (id, album_id, position, author, stars, body, written, reply_to) VALUES
  (1, 4, NULL, 'ida', 5, 'The brushes alone are worth the night train.', '2005-12-01T08:15:00Z', NULL),
  (2, 4, 4, 'tomasz', 4, 'Shortest piece, longest memory.', '2006-01-14T21:40:00Z', NULL),
  (3, 4, NULL, 'tomasz', NULL, 'Agreed about the brushes.', '2006-01-14T21:44:00Z', 1),
  (4, 14, NULL, 'maría', 3, 'Good echo.
Good echo.
Good ec…', '2014-11-02T10:00:00Z', NULL),
  (5, 14, 3, 'ida', 5, NULL, '2014-11-03T12:30:00Z', NULL),
  (6, 16, 4, 'sørensen', 5, 'Not the string ''NULL'', not the value NULL: the track.', '2022-06-18T00:00:00Z', NULL),
  (7, 16, NULL, 'kenji', 4, 'Best heard in the middle of the Atlantic.', '2022-07-01T16:20:00Z', NULL),
  (8, 16, NULL, 'sørensen', NULL, 'Have you been?', '2022-07-01T18:05:00Z', 7),
  (9, 16, NULL, 'kenji', NULL, 'There is only a buoy.', '2022-07-02T07:00:00Z', 8),
  (10, 18, 4, 'kenji', 5, '雪の音がする。', '2003-12-24T09:00:00Z', NULL),
  (11, 23, NULL, 'bridie', 4, 'We took the long way. It rained.', '1984-10-02T19:00:00Z', NULL),
  (12, 24, 3, 'bridie', 2, 'I was there; it was.', '2017-03-18T11:11:00Z', NULL),
  (13, 13, NULL, 'maría', 5, 'Sin erratas.', '1991-05-05T15:00:00Z', NULL),
  (14, 19, 3, 'ida', 5, 'A small shovel, left behind. 🏖️', '2018-11-30T20:20:00Z', NULL);

COMMIT;
