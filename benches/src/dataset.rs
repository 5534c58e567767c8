//! The databases: made by SQL alone, the same bytes of data every time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::Connection;

/// A database of artists with four albums each, albums with ten tracks each, and playlists with 40 tracks each.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file, in WAL mode, that nobody serves: each server has a copy.
    pub path: PathBuf,
    /// How many tracks there are: a power of ten, from 1,000.
    pub tracks: u64,
    /// How many albums.
    pub albums: u64,
    /// How many artists.
    pub artists: u64,
}

/// The tables in the order of their foreign keys.
pub const TABLES: [&str; 5] = ["artists", "albums", "tracks", "playlists", "playlist_tracks"];

const SCHEMA: &str = "
CREATE TABLE artists(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL, formed INTEGER NOT NULL);
CREATE TABLE albums(
  id INTEGER PRIMARY KEY, artist_id INTEGER NOT NULL REFERENCES artists(id), title TEXT NOT NULL,
  released TEXT NOT NULL);
CREATE TABLE tracks(
  id INTEGER PRIMARY KEY, album_id INTEGER NOT NULL REFERENCES albums(id), name TEXT NOT NULL,
  milliseconds INTEGER NOT NULL, price REAL NOT NULL, published BOOLEAN NOT NULL DEFAULT 1, owner_id TEXT);
CREATE TABLE playlists(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, owner_id TEXT);
CREATE TABLE playlist_tracks(
  playlist_id INTEGER NOT NULL REFERENCES playlists(id), track_id INTEGER NOT NULL REFERENCES tracks(id),
  position INTEGER NOT NULL, PRIMARY KEY(playlist_id, track_id)) WITHOUT ROWID;
";

const INDEXES: &str = "
CREATE INDEX albums_artist_id ON albums(artist_id);
CREATE INDEX tracks_album_id ON tracks(album_id);
CREATE INDEX playlist_tracks_track_id ON playlist_tracks(track_id);
ANALYZE;
";

/// `?1` is the number of rows.
const ROWS: [&str; 5] = [
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO artists SELECT i, 'Artist ' || i,
       substr('NODEFRESITGBIESEFIDK', 1 + i * 7 % 10 * 2, 2), 1950 + i * 31 % 75 FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO albums SELECT i, (i - 1) / 4 + 1, 'Album ' || i,
       date('1960-01-01', (i * 7919 % 23000) || ' days') FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO tracks SELECT i, (i - 1) / 10 + 1, 'Track ' || i, 90000 + i * 7907 % 400000,
       0.49 + i * 13 % 5 * 0.25, 1, CASE i % 3 WHEN 0 THEN 'u' || i % 100 END FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO playlists SELECT i, 'Playlist ' || i, 'u' || i % 100 FROM n",
    // ?2 is the number of tracks.
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1 * 40)
     INSERT OR IGNORE INTO playlist_tracks SELECT i / 40 + 1, i * 7919 % ?2 + 1, i % 40 + 1 FROM n",
];

impl Dataset {
    /// Makes the database with so many tracks in `directory`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn make(directory: &Path, tracks: u64) -> Result<Dataset> {
        let (albums, artists, playlists) = (tracks / 10, tracks / 40, tracks / 200);
        let path = directory.join(format!("{tracks}.db"));
        let sql = new_file(&path)?;
        sql.execute_batch("BEGIN")?;
        sql.execute_batch(SCHEMA)?;
        let all = i64::try_from(tracks)?;
        for (statement, rows) in ROWS.iter().zip([artists, albums, tracks, playlists, playlists]) {
            let mut statement = sql.prepare(statement)?;
            let rows = i64::try_from(rows)?;
            match statement.parameter_count() {
                1 => statement.execute([rows])?,
                _ => statement.execute([rows, all])?,
            };
        }
        sql.execute_batch(INDEXES)?;
        sql.execute_batch("COMMIT")?;
        finish(sql)?;
        Ok(Dataset { path, tracks, albums, artists })
    }

    /// A copy with so many more tables beside, each with a foreign key to the one before.
    ///
    /// # Errors
    /// SQLite's; of the file.
    pub fn with_tables(&self, tables: u64) -> Result<Dataset> {
        let path = self.path.with_file_name(format!("{}-{tables}-tables.db", self.tracks));
        self.copy_to(&path)?;
        let sql = Connection::open(&path)?;
        sql.execute_batch("BEGIN")?;
        for n in 1..=tables {
            let before = if n == 1 { "artists".to_owned() } else { format!("extra_{}", n - 1) };
            sql.execute_batch(&format!(
                "CREATE TABLE extra_{n}(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, amount REAL, noted TEXT, \
                 before_id INTEGER REFERENCES {before}(id));\
                 CREATE INDEX extra_{n}_before_id ON extra_{n}(before_id);"
            ))?;
        }
        sql.execute_batch("COMMIT")?;
        finish(sql)?;
        Ok(Dataset { path, ..self.clone() })
    }

    /// Copies the file.
    ///
    /// # Errors
    /// Of the file.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(&self.path, path).with_context(|| format!("cannot copy to {}", path.display()))?;
        Ok(())
    }

    /// Tracks and albums: what keys are taken from.
    pub fn keys(&self) -> (u64, u64) {
        (self.tracks, self.albums)
    }
}

fn new_file(path: &Path) -> Result<Connection> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    let sql = Connection::open(path).with_context(|| path.display().to_string())?;
    sql.execute_batch("PRAGMA synchronous = off; PRAGMA foreign_keys = off; PRAGMA cache_size = -65536")?;
    Ok(sql)
}

/// Leaves one file, in WAL mode. (The mode stands in the file, so servers that do not set it have it, too.)
fn finish(sql: Connection) -> Result<()> {
    sql.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    sql.close().map_err(|(_, error)| error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_workloads_count_on() {
        let directory = std::env::temp_dir().join(format!("sqlitrest-dataset-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let dataset = Dataset::make(&directory, 1000).and_then(|d| d.with_tables(3)).expect("dataset");
        let sql = Connection::open(&dataset.path).expect("database");
        let one = |text: &str| sql.query_row(text, [], |row| row.get::<_, i64>(0)).expect(text);
        assert_eq!(one("SELECT count(*) FROM tracks"), 1000);
        assert_eq!(one("SELECT count(*) FROM tracks WHERE album_id = 7"), 10);
        assert_eq!(one("SELECT min(n) FROM (SELECT count(*) n FROM albums GROUP BY artist_id)"), 4);
        assert_eq!(one("SELECT count(*) FROM playlist_tracks"), 200);
        assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        assert_eq!(one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'extra\\__' ESCAPE '\\'"), 3);
        fs::remove_dir_all(&directory).expect("removed");
    }
}
