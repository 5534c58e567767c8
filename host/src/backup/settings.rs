//! `[backup]`: where backups go, when they are made and how many are kept.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};
use sqlitrest_runtime::config::{Config, Span};

/// The shortest time between two backups: names tell seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// `[backup]`. Where it is absent, no backups are made but by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory that they are made in.
    pub directory: String,
    /// How often one is made; by default every day, where `at` is absent.
    pub every: Option<Span>,
    /// The time of day at which one is made.
    pub at: Option<At>,
    /// Where that is the time.
    pub timezone: Zone,
    /// How many of a database are kept; 0: all.
    pub keep: usize,
    /// The databases, by their names in the configuration; none: all.
    pub databases: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            directory: String::new(),
            every: None,
            at: None,
            timezone: Zone(TimeZone::UTC),
            keep: 7,
            databases: Vec::new(),
        }
    }
}

/// A time of day, written `03:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct At(pub Time);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0.strftime("%H:%M"))
    }
}

impl TryFrom<String> for At {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Time::strptime("%H:%M", &text).map(At).map_err(|_| format!("`{text}` is no time of day: write 03:00"))
    }
}

/// A time zone, by its name in the IANA database.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(pub TimeZone);

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        TimeZone::get(&text)
            .map(Zone)
            .map_err(|_| format!("`{text}` is no time zone: write UTC or Europe/Berlin"))
    }
}

/// When backups are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// So long after the one before.
    Every(Duration),
    /// At this time of each day.
    At(Time, TimeZone),
}

impl Settings {
    /// What is wrong with it, as a sentence with the key.
    ///
    /// # Errors
    /// The sentence.
    pub fn check(&self, config: &Config) -> Result<(), String> {
        if self.directory.is_empty() {
            return Err("[backup] names no directory: write directory = \"./backups\"".to_owned());
        }
        if self.every.is_some() && self.at.is_some() {
            return Err("[backup] has both every and at; keep one".to_owned());
        }
        if self.every.is_some_and(|every| every.0 < SHORTEST) {
            return Err("backup.every must be at least 1s".to_owned());
        }
        if self.at.is_none() && self.timezone != Zone(TimeZone::UTC) {
            return Err("backup.timezone is that of backup.at, which is absent".to_owned());
        }
        let is_there =
            |name: &&String| config.databases.contains_key(*name) || config.database().0 == name.as_str();
        match self.databases.iter().find(|name| !is_there(name)) {
            Some(name) => Err(format!("backup.databases: there is no [databases.{name}]")),
            None => Ok(()),
        }
    }

    /// When backups are made.
    pub fn schedule(&self) -> Schedule {
        match (self.at, self.every) {
            (Some(At(time)), _) => Schedule::At(time, self.timezone.0.clone()),
            (None, Some(every)) => Schedule::Every(every.0),
            (None, None) => Schedule::Every(Duration::from_secs(24 * 3600)),
        }
    }

    /// Makes its path that which `place` gives.
    pub fn relocate(&mut self, place: &dyn Fn(&str) -> String) {
        if !self.directory.is_empty() {
            self.directory = place(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant() {
        let config = Config::load("", "[databases.a]\npath = \"a.db\"", []).expect("valid");
        let check = |text: &str| toml::from_str::<Settings>(text).expect(text).check(&config);
        for (text, told) in [
            ("", "names no directory"),
            ("directory = \"b\"\nevery = \"1h\"\nat = \"03:00\"", "both every and at"),
            ("directory = \"b\"\nevery = \"10ms\"", "at least 1s"),
            ("directory = \"b\"\ntimezone = \"Europe/Berlin\"", "backup.timezone"),
            ("directory = \"b\"\ndatabases = [\"c\"]", "there is no [databases.c]"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(told), "{error}");
        }
        assert_eq!(
            check("directory = \"b\"\ndatabases = [\"a\"]\nat = \"03:00\"\ntimezone = \"Asia/Tokyo\""),
            Ok(())
        );
        for (text, told) in [("at = \"25:00\"", "no time of day"), ("timezone = \"Mars\"", "no time zone")] {
            let error = toml::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
