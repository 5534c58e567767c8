//! `[backup]`: where backups go, when they are made and how many are kept.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};
use sqlitrest_runtime::config::{Config, DatabaseFile, Reader, Span, expand, texts};

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
    #[serde(deserialize_with = "texts")]
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
    pub fn check(&self) -> Result<(), String> {
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
        Ok(())
    }

    /// Reads the names of the databases from where they are, and holds them against those of the configuration. What is wrong, in
    /// sentences with the key.
    pub fn read_lists(&mut self, config: &Config, read: &mut Reader<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        expand("backup.databases", &mut self.databases, read, &mut wrong);
        let is_there =
            |name: &&String| config.databases.contains_key(*name) || config.database().0 == name.as_str();
        let others = self.databases.iter().filter(|name| !is_there(name));
        wrong.extend(others.map(|name| format!("backup.databases: there is no [databases.{name}]")));
        let is_on_server =
            |name: &&String| config.databases.get(*name).is_some_and(DatabaseFile::is_on_server);
        let what = "is on a server, which has to keep its own copies";
        let on_servers = self.databases.iter().filter(is_on_server);
        wrong.extend(on_servers.map(|name| format!("backup.databases: {name} {what}")));
        let is_nothing = self.databases.is_empty()
            && config.attach.paths.is_empty()
            && !config.databases.is_empty()
            && config.databases.values().all(DatabaseFile::is_on_server);
        if is_nothing {
            wrong.push(format!("[backup] has nothing to copy: every database {what}"));
        }
        wrong
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
    use sqlitrest_runtime::config::Reference;

    #[test]
    fn what_cannot_be_meant() {
        let check = |text: &str| toml::from_str::<Settings>(text).expect(text).check();
        for (text, told) in [
            ("", "names no directory"),
            ("directory = \"b\"\nevery = \"1h\"\nat = \"03:00\"", "both every and at"),
            ("directory = \"b\"\nevery = \"10ms\"", "at least 1s"),
            ("directory = \"b\"\ntimezone = \"Europe/Berlin\"", "backup.timezone"),
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

    #[test]
    fn databases_that_are_named_elsewhere() {
        let config = Config::load("", "[databases.a]\npath = \"a.db\"", []).expect("valid");
        let read = |list: &str| {
            let text = format!("directory = \"b\"\ndatabases = {list}");
            let mut settings: Settings = toml::from_str(&text).expect("valid");
            let wrong = settings.read_lists(&config, &mut |reference| match reference {
                Reference::Env("LIST") => Ok("a, c".to_owned()),
                other => Err(format!("there is no {other:?}")),
            });
            (settings.databases.join(" "), wrong)
        };
        assert_eq!(read("[\"a\"]"), ("a".to_owned(), Vec::new()));
        let missing = vec!["backup.databases: there is no [databases.c]".to_owned()];
        assert_eq!(read("\"a, c\""), ("a c".to_owned(), missing.clone()));
        assert_eq!(read("\"env:LIST\""), ("a c".to_owned(), missing));
        let unread = vec!["backup.databases: there is no Env(\"NONE\")".to_owned()];
        assert_eq!(read("\"env:NONE\""), (String::new(), unread));
    }

    #[test]
    fn servers_keep_their_own_copies() {
        let server = "[databases.main]\nurl = \"libsql://a.b\"\n";
        let wrong = |databases: &str, list: &str| {
            let config = Config::load("", databases, []).expect("valid");
            let mut settings: Settings =
                toml::from_str(&format!("directory = \"b\"\ndatabases = {list}")).expect("valid");
            settings.read_lists(&config, &mut |_| Err("nothing is read".to_owned())).join("; ")
        };
        assert!(wrong(server, "[\"main\"]").starts_with("backup.databases: main is on a server"));
        assert!(wrong(server, "[]").starts_with("[backup] has nothing to copy"));
        let beside = format!("{server}[databases.file]\npath = \"a.db\"\n");
        assert_eq!(wrong(&beside, "[]"), "");
        assert_eq!(wrong(&beside, "[\"file\"]"), "");
        assert_eq!(wrong(&format!("{server}[attach]\npaths = [\".\"]\n"), "[]"), "");
    }
}
