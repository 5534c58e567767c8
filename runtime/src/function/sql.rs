//! The SQL of a function: what of it stands for its arguments and for what the request says.

use crate::plan::Asked;
use crate::value::Value;

/// A piece of a function's SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// SQL of the configuration.
    Sql(String),
    /// An argument.
    Value(Value),
}

/// What answers to `current_role()` and the like.
pub type Ask<'a> = &'a dyn Fn(&Asked) -> Value;

/// The SQL in pieces: outside quotes and comments each `:name` becomes the parameter's value, and each `current_role()`,
/// `request_value(…)` and the like what there is to say (null where nobody asks yet). `now()` is SQLite's time.
pub fn pieces(sql: &str, values: &[(&str, Value)], ask: Option<Ask<'_>>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = sql.trim().trim_end_matches(';');
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '\'' | '"' | '`' => quoted_end(rest, c),
            '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            ':' => {
                let name_end = rest
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| !(c.is_alphanumeric() || *c == '_'))
                    .map_or(rest.len(), |(at, _)| at);
                let name = rest.get(1..name_end).unwrap_or_default();
                if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                    pieces.push(Piece::Sql(std::mem::take(&mut plain)));
                    pieces.push(Piece::Value(value.clone()));
                    rest = rest.get(name_end..).unwrap_or_default();
                    continue;
                }
                c.len_utf8()
            }
            _ if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                let after = rest.get(end..).unwrap_or_default();
                if let Some((own, length)) = own_call(word, after, values) {
                    match own {
                        Own::Now => plain.push_str("datetime('now')"),
                        Own::Asked(asked) => {
                            pieces.push(Piece::Sql(std::mem::take(&mut plain)));
                            pieces.push(Piece::Value(ask.map_or(Value::Null, |ask| ask(&asked))));
                        }
                    }
                    rest = after.get(length..).unwrap_or_default();
                    continue;
                }
                end
            }
            _ => c.len_utf8(),
        };
        let (taken, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        plain.push_str(taken);
        rest = tail;
    }
    pieces.push(Piece::Sql(plain));
    pieces
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a call of one of our functions means.
enum Own {
    Now,
    Asked(Asked),
}

/// A call of one of our functions, and the length of its parentheses. Arguments are texts in quotes or parameters.
fn own_call(word: &str, after: &str, values: &[(&str, Value)]) -> Option<(Own, usize)> {
    let word = word.to_ascii_lowercase();
    if !["current_user_id", "current_role", "current_claim", "request_value", "now"].contains(&word.as_str())
    {
        return None;
    }
    let inside = after.strip_prefix('(')?;
    let end = inside.find(')')?;
    let inside = inside.get(..end)?.trim();
    let mut arguments = Vec::new();
    for argument in inside.split(',').map(str::trim).filter(|_| !inside.is_empty()) {
        arguments.push(match argument.strip_prefix(':') {
            Some(name) => match values.iter().find(|(known, _)| *known == name)? {
                (_, Value::Text(text)) => text.clone(),
                _ => String::new(),
            },
            None => argument.strip_prefix('\'')?.strip_suffix('\'')?.to_owned(),
        });
    }
    let asked = match (word.as_str(), arguments.as_slice()) {
        ("now", []) => return Some((Own::Now, end + 2)),
        ("current_user_id", []) => Asked::Claim("sub".to_owned()),
        ("current_role", []) => Asked::Role,
        ("current_claim", [path]) => Asked::Claim(path.clone()),
        ("request_value", [kind, path, ..]) if kind == "request.jwt.claims" => Asked::Claim(path.clone()),
        ("request_value", [kind, rest @ ..]) => {
            Asked::Request { kind: kind.clone(), name: rest.first().cloned().unwrap_or_default() }
        }
        _ => return None,
    };
    Some((Own::Asked(asked), end + 2))
}

/// Where the quotes that open here close, doubled ones passed over.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The names of the columns in a RETURNING clause, where they can be read from it: bare names and aliases.
pub fn returning_names(sql: &str) -> Option<Vec<String>> {
    let at = sql.to_ascii_lowercase().rfind("returning ")?;
    let list = sql.get(at + "returning ".len()..)?.trim().trim_end_matches(';');
    list.split(',')
        .map(|item| {
            let name = item.trim().rsplit([' ', '.']).next()?.trim_matches(['"', '`', '[', ']']);
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_name.then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asker::{Asker, Said};
    use crate::http::Request;
    use crate::identity::Identity;
    use expect_test::expect;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_found_outside_quotes_and_comments() {
        let sql = "SELECT :a, ':a', \":a\" /* :a */, x::a -- :a\n, :b WHERE c = :unknown;";
        let values = [("a", Value::Integer(1)), ("b", Value::Text("x".to_owned()))];
        let shown: Vec<String> = pieces(sql, &values, None)
            .iter()
            .map(|piece| match piece {
                Piece::Sql(sql) => sql.clone(),
                Piece::Value(value) => format!("«{value:?}»"),
            })
            .collect();
        expect![[r#"
            SELECT «Integer(1)», ':a', ":a" /* :a */, x:«Integer(1)» -- :a
            , «Text("x")» WHERE c = :unknown"#]]
        .assert_eq(&shown.concat());
    }

    #[test]
    fn what_the_request_says() {
        let headers: [(&str, &[u8]); 2] = [("x-name", b"ada"), ("cookie", b"a=1; b=2")];
        let request = Request { method: "POST", target: "/rpc/f?x=1", headers: &headers, body: b"" };
        let identity = Identity::default();
        let values =
            [("k", Value::Text("request.headers".to_owned())), ("n", Value::Text("X-Name".to_owned()))];
        let value = |sql: &str| {
            let said = Said::of(&request);
            let asker = Asker { identity: &identity, said: Some(&said) };
            let pieces = pieces(sql, &values, Some(&|asked| asker.value(asked)));
            pieces.into_iter().find_map(|p| if let Piece::Value(value) = p { Some(value) } else { None })
        };
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        assert_eq!(value("SELECT request_value(:k, :n)"), text("ada"));
        assert_eq!(value("SELECT request_value('request.cookies', 'b')"), text("2"));
        assert_eq!(value("SELECT request_value('request.method')"), text("POST"));
        assert_eq!(value("SELECT request_value('request.path')"), text("/rpc/f"));
        assert_eq!(value("SELECT request_value('request.headers', 'none')"), Some(Value::Null));
        assert_eq!(value("SELECT request_value(name)"), None);
    }

    #[test]
    fn returning() {
        assert_eq!(
            returning_names("DELETE FROM t RETURNING id, t.name, \"x\" AS y"),
            Some(vec!["id".into(), "name".into(), "y".into()])
        );
        assert_eq!(returning_names("DELETE FROM t RETURNING *"), None);
        assert_eq!(returning_names("SELECT 1"), None);
    }

    proptest! {
        #[test]
        fn never_panics(sql in "[a-z:'\"`\\[\\]/* é-]{0,60}") {
            let _ = pieces(&sql, &[("a", Value::Null)], None);
            let _ = returning_names(&sql);
        }
    }
}
