//! Which claim is the role (`auth.jwt.role_claim`): a member's name, or a path in PostgREST's language
//! (<https://docs.postgrest.org/en/stable/references/auth.html#jwt-role-extraction>).

use serde_json::{Map, Value as Json};

/// A path to the role in the claims.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleClaim(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `.name`, `."any name"`
    Member(String),
    /// `[0]`
    Place(usize),
    /// `[?(@ == "x")]`: the first element for which it holds.
    Search(Comparison, String),
    /// `[a:b]`: a part of the text, in characters; negative ones count from the end.
    Slice(Option<i64>, Option<i64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    Differs,
    Begins,
    Ends,
    Contains,
}

impl Comparison {
    fn holds(self, text: &str, operand: &str) -> bool {
        match self {
            Comparison::Equals => text == operand,
            Comparison::Differs => text != operand,
            Comparison::Begins => text.starts_with(operand),
            Comparison::Ends => text.ends_with(operand),
            Comparison::Contains => text.contains(operand),
        }
    }
}

impl RoleClaim {
    /// Reads `role`, or a path that begins with a dot.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub fn parse(text: &str) -> Result<RoleClaim, String> {
        let wrong = |rest: &str| {
            format!(
                "`{text}` is no role claim from `{rest}` on: write role, .app_metadata.role, .\"a.b\"[0] or .roles[?(@ == \"x\")]"
            )
        };
        if text.is_empty() {
            return Err(wrong(text));
        }
        if !text.starts_with('.') {
            return Ok(RoleClaim(vec![Step::Member(text.to_owned())]));
        }
        let (mut steps, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (step, after) = step(rest).ok_or_else(|| wrong(rest))?;
            steps.push(step);
            rest = after;
        }
        let ends = steps.iter().position(|step| matches!(step, Step::Slice(..)));
        match ends {
            Some(at) if at + 1 != steps.len() => Err(wrong("a slice that is not the last step")),
            _ => Ok(RoleClaim(steps)),
        }
    }

    /// The role that the claims name. What is neither text nor a number names none.
    pub fn of(&self, claims: &Map<String, Json>) -> Option<String> {
        let (first, rest) = self.0.split_first()?;
        let Step::Member(name) = first else { return None };
        let mut found = claims.get(name)?;
        let mut part = (None, None);
        for step in rest {
            found = match step {
                Step::Member(name) => found.get(name)?,
                Step::Place(place) => found.get(place)?,
                Step::Search(comparison, operand) => {
                    let is_it = |json: &&Json| json.as_str().is_some_and(|t| comparison.holds(t, operand));
                    found.as_array()?.iter().find(is_it)?
                }
                Step::Slice(from, to) => {
                    part = (*from, *to);
                    found
                }
            };
        }
        let role = match found {
            Json::String(text) => slice(text, part),
            Json::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(role).filter(|role| !role.is_empty())
    }
}

/// The first step of a path, and what is behind it.
fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, rest) = quoted.split_once('"')?;
            return Some((Step::Member(name.to_owned()), rest));
        }
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@' | '-');
        let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return (!name.is_empty()).then(|| (Step::Member(name.to_owned()), rest));
    }
    if let Some(rest) = text.strip_prefix("[?(@") {
        let (operator, rest) = rest.trim_start().split_once('"')?;
        let comparison = match operator.trim_end() {
            "==" => Comparison::Equals,
            "!=" => Comparison::Differs,
            "^==" => Comparison::Begins,
            "==^" => Comparison::Ends,
            "*==" => Comparison::Contains,
            _ => return None,
        };
        let (operand, rest) = rest.split_once('"')?;
        let rest = rest.trim_start().strip_prefix(")]")?;
        return Some((Step::Search(comparison, operand.to_owned()), rest));
    }
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    if let Some((from, to)) = inside.split_once(':') {
        let end = |text: &str| match text {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        };
        return Some((Step::Slice(end(from)?, end(to)?), rest));
    }
    Some((Step::Place(inside.parse().ok()?), rest))
}

fn slice(text: &str, (from, to): (Option<i64>, Option<i64>)) -> String {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let place = |end: i64| if end < 0 { (length + end).max(0) } else { end.min(length) };
    let from = from.map_or(0, place);
    let count = to.map_or(length, place) - from;
    let size = |number: i64| usize::try_from(number).unwrap_or(0);
    text.chars().skip(size(from)).take(size(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(path: &str) -> Option<String> {
        let claims = serde_json::json!({
            "role": "author",
            "number": 7, "null": null, "list": ["a"], "yes": true, "empty": "",
            "app_metadata": {"roles": ["other", "author"], "a-b": "dashed"},
            "https://example.com/role": {"key": "dotted"},
            "wlcg": ["/groupa", "/groupb/"],
        });
        let Json::Object(claims) = claims else { panic!("an object") };
        RoleClaim::parse(path).expect(path).of(&claims)
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("role", "author"),
            (".role", "author"),
            ("number", "7"),
            (".app_metadata.roles[1]", "author"),
            (".app_metadata.a-b", "dashed"),
            (".\"https://example.com/role\".key", "dotted"),
            (".app_metadata.roles[?(@ == \"author\")]", "author"),
            (".app_metadata.roles[?(@ != \"other\")]", "author"),
            (".app_metadata.roles[?(@ ^== \"aut\")]", "author"),
            (".app_metadata.roles[?(@ ==^ \"hor\")]", "author"),
            (".app_metadata.roles[?(@*==\"utho\")]", "author"),
            (".wlcg[0][1:]", "groupa"),
            (".wlcg[1][1:-1]", "groupb"),
            (".wlcg[0][:2]", "/g"),
            (".wlcg[0][:]", "/groupa"),
        ] {
            assert_eq!(role(path).as_deref(), Some(expected), "{path}");
        }
        for path in [
            "none",
            "null",
            "list",
            "yes",
            "empty",
            "app_metadata.roles",
            ".app_metadata",
            ".app_metadata.roles[2]",
            ".role.x",
            ".role[0]",
            ".app_metadata.roles[?(@ == \"x\")]",
            ".role[?(@ == \"x\")]",
            ".wlcg[0][5:2]",
            ".wlcg[0][-99:-98]",
        ] {
            assert_eq!(role(path), None, "{path}");
        }
    }

    #[test]
    fn mistakes() {
        for path in [
            "",
            ".",
            "..a",
            ".a.",
            ".a[",
            ".a[x]",
            ".a[-1]",
            ".a[?(@ = \"x\")]",
            ".a[?(@ == x)]",
            ".a\"b\"",
            ".\"a",
            ".a[1:2][0]",
            ".a b",
        ] {
            assert!(RoleClaim::parse(path).is_err(), "{path}");
        }
    }
}
