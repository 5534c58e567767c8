//! The SQL of a function: what of it stands for its arguments and for what the request says.

use crate::http::Request;
use crate::identity::Identity;
use crate::value::Value;

/// A piece of a function's SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// SQL of the configuration.
    Sql(String),
    /// An argument.
    Value(Value),
}

/// What of a request a function can ask for: `request_value('request.headers', 'x-name')`. The kinds are PostgREST's
/// settings of the same names.
pub struct Context<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// Who asks.
    pub identity: &'a Identity,
}

impl Context<'_> {
    /// The value, or null.
    fn value(&self, kind: &str, name: Option<&str>) -> Value {
        let text = match (kind, name) {
            ("request.jwt.claims", Some(path)) => return self.identity.claim(path),
            ("request.method", _) => Some(self.request.method.to_owned()),
            ("request.path", _) => self.request.target.split('?').next().map(str::to_owned),
            ("request.headers", Some(name)) => {
                self.request.texts(&name.to_ascii_lowercase()).next().map(str::to_owned)
            }
            ("request.cookies", Some(name)) => self
                .request
                .texts("cookie")
                .flat_map(|field| field.split(';'))
                .filter_map(|cookie| cookie.trim().split_once('='))
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned()),
            _ => None,
        };
        text.map_or(Value::Null, Value::Text)
    }
}

/// The SQL in pieces: outside quotes and comments each `:name` becomes the parameter's value, and each `request_value(…)`
/// what the request says (null where there is none yet).
pub fn pieces(sql: &str, values: &[(&str, Value)], context: Option<&Context<'_>>) -> Vec<Piece> {
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
                if word.eq_ignore_ascii_case("request_value")
                    && let Some((value, length)) = request_value(after, values, context)
                {
                    pieces.push(Piece::Sql(std::mem::take(&mut plain)));
                    pieces.push(Piece::Value(value));
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

/// The value of `(kind, name)` behind `request_value`, and the length of these parentheses. The arguments are texts in
/// quotes or parameters.
fn request_value(
    text: &str,
    values: &[(&str, Value)],
    context: Option<&Context<'_>>,
) -> Option<(Value, usize)> {
    let inside = text.strip_prefix('(')?;
    let end = inside.find(')')?;
    let mut arguments = Vec::new();
    for argument in inside.get(..end)?.split(',').map(str::trim) {
        arguments.push(match argument.strip_prefix(':') {
            Some(name) => match values.iter().find(|(known, _)| *known == name)? {
                (_, Value::Text(text)) => text.clone(),
                _ => String::new(),
            },
            None => argument.strip_prefix('\'')?.strip_suffix('\'')?.to_owned(),
        });
    }
    let kind = arguments.first()?;
    let value = context.map_or(Value::Null, |c| c.value(kind, arguments.get(1).map(String::as_str)));
    Some((value, end + 2))
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
            let pieces = pieces(sql, &values, Some(&Context { request: &request, identity: &identity }));
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
