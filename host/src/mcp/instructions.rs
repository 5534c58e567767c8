//! What a model is told of the server when it begins: as it is set up, so that nothing is said of what is not there.

use sqlitrest_runtime::config::Config;

use super::settings::Settings;

/// A line for each; one that begins with a word in brackets stands there only where that holds.
const TEXT: &str = include_str!("instructions.txt");

/// The lines, numbered but the first.
pub fn instructions(settings: &Settings, config: &Config) -> String {
    let holds = |word: &str| match word {
        "read" => !settings.write,
        "write" => settings.write,
        "aggregates" => config.api.aggregates,
        "capped" => config.api.max_rows > 0,
        _ => false,
    };
    let lines =
        TEXT.lines().filter_map(|line| match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((word, line)) => holds(word).then_some(line),
            None => Some(line),
        });
    let numbered = lines
        .enumerate()
        .map(|(at, line)| if at == 0 { format!("{line}\n") } else { format!("{at}. {line}\n") });
    let text: String = numbered.collect();
    text.replace("{max_rows}", &settings.max_rows.to_string())
        .replace("{api.max_rows}", &config.api.max_rows.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_what_is_not_there() {
        let config = |text: &str| Config::load("", text, []).expect("valid");
        let (reads, writes) = (Settings::default(), Settings { write: true, ..Settings::default() });
        let plain = instructions(&reads, &config(""));
        assert!(plain.starts_with("This server reads a SQLite database"), "{plain}");
        assert!(plain.contains("\n1. list_relations") && plain.contains("at most 100 rows"), "{plain}");
        for word in ["write_rows", "sum()", "{max", "{api", "\n["] {
            assert!(!plain.contains(word), "{word}: {plain}");
        }
        let all = instructions(&writes, &config("[api]\naggregates = true\nmax_rows = 7"));
        assert!(all.starts_with("This server reads and writes a SQLite database"), "{all}");
        for word in ["write_rows", "price.sum()", "hold at most 7"] {
            assert!(all.contains(word), "{word}: {all}");
        }
        // Each condition is known: with all of them on, one line alone is missing.
        assert_eq!(all.lines().count() + 1, TEXT.lines().count());
    }
}
