-- A shop of music, in the manner of Chinook: CamelCase, lengths, decimals, times, a key of two columns, a table that refers to itself.
CREATE TABLE [Artist] ([ArtistId] INTEGER NOT NULL CONSTRAINT [PK_Artist] PRIMARY KEY, [Name] NVARCHAR(120));
CREATE TABLE [Album] (
  [AlbumId] INTEGER NOT NULL CONSTRAINT [PK_Album] PRIMARY KEY, [Title] NVARCHAR(160) NOT NULL,
  [ArtistId] INTEGER NOT NULL REFERENCES [Artist] ([ArtistId]), [Format] TEXT CHECK ([Format] IN ('vinyl', 'cd', 'file'))
);
CREATE TABLE [Track] (
  [TrackId] INTEGER NOT NULL CONSTRAINT [PK_Track] PRIMARY KEY, [Name] NVARCHAR(200) NOT NULL,
  [AlbumId] INTEGER REFERENCES [Album] ([AlbumId]), [Milliseconds] INTEGER NOT NULL CHECK ([Milliseconds] BETWEEN 1 AND 36000000),
  [UnitPrice] NUMERIC(10, 2) NOT NULL DEFAULT 0.99, [Explicit] BOOLEAN NOT NULL DEFAULT 0, [Lyrics] JSON
);
CREATE TABLE [Playlist] ([PlaylistId] INTEGER NOT NULL CONSTRAINT [PK_Playlist] PRIMARY KEY, [Name] NVARCHAR(120));
CREATE TABLE [PlaylistTrack] (
  [PlaylistId] INTEGER NOT NULL REFERENCES [Playlist] ([PlaylistId]), [TrackId] INTEGER NOT NULL REFERENCES [Track] ([TrackId]),
  CONSTRAINT [PK_PlaylistTrack] PRIMARY KEY ([PlaylistId], [TrackId])
);
CREATE TABLE [Employee] (
  [EmployeeId] INTEGER NOT NULL CONSTRAINT [PK_Employee] PRIMARY KEY, [LastName] NVARCHAR(20) NOT NULL,
  [ReportsTo] INTEGER REFERENCES [Employee] ([EmployeeId]), [HireDate] DATETIME, [Photo] BLOB, [Email] NVARCHAR(60) UNIQUE
);
CREATE INDEX [AlbumArtist] ON [Album] ([ArtistId]);
CREATE INDEX [TrackAlbum] ON [Track] ([AlbumId]);
CREATE VIEW [LongTrack] AS SELECT [TrackId], [Name], [Milliseconds] / 1000 AS [Seconds] FROM [Track] WHERE [Milliseconds] > 300000;
INSERT INTO [Artist] VALUES (1, 'AC/DC'), (2, 'Accept'), (3, 'Björk'), (4, NULL);
INSERT INTO [Album] VALUES (1, 'Rock', 1, 'vinyl'), (2, 'Balls', 2, 'cd'), (3, 'Début', 3, NULL);
INSERT INTO [Track] ([TrackId], [Name], [AlbumId], [Milliseconds], [UnitPrice], [Explicit], [Lyrics]) VALUES
  (1, 'For Those', 1, 343719, 0.99, 0, '{"lines": ["a", "b"]}'), (2, 'Balls', 2, 342562, 1.99, 1, NULL), (3, 'Venus', 3, 280000, 0.5, 0, '[]');
INSERT INTO [Playlist] VALUES (1, 'Music'), (2, NULL);
INSERT INTO [PlaylistTrack] VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO [Employee] VALUES (1, 'Adams', NULL, '2002-08-14 00:00:00', x'00ff', 'a@example.com'), (2, 'Edwards', 1, NULL, NULL, NULL);
