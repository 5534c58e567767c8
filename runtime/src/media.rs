//! Content negotiation (RFC 9110 section 12.5.1) among the media types that an answer can be made as.

use crate::error::Error;

/// What an answer is made as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`: an array of objects.
    Json,
    /// `application/vnd.pgrst.array+json;nulls=stripped`: objects without the members that are null.
    JsonStripped,
    /// `application/vnd.pgrst.object+json`: exactly one object.
    Object,
    /// `application/vnd.pgrst.object+json;nulls=stripped`
    ObjectStripped,
    /// `text/csv`
    Csv,
    /// `application/x-ndjson`: an object a line (<https://github.com/ndjson/ndjson-spec>). Beyond PostgREST.
    Lines,
    /// `application/vnd.pgrst.plan`: how the database would go about the request.
    Plan {
        /// `+json` instead of text.
        json: bool,
        /// What the answer would be made as (`for`).
        of: Box<MediaType>,
        /// `options=verbose`: with the SQL.
        verbose: bool,
    },
    /// Another type, which a function must say that it makes.
    Other(String),
}

/// One item of the `Accept` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What is accepted; `None` for `*/*`.
    pub media_type: Option<MediaType>,
    /// How it was written, for the error.
    pub written: String,
}

/// What a client accepts, the most welcome first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept(pub Vec<Accepted>);

impl Accept {
    /// Reads every `Accept` field, sorted by weight; of equal weights the first counts, and `*/*` yields to what is named.
    pub fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Accept {
        let mut items: Vec<(u16, Accepted)> = Vec::new();
        for item in fields.flat_map(|field| field.split(',')).map(str::trim).filter(|item| !item.is_empty()) {
            let weight = item
                .split(';')
                .find_map(|p| p.trim().strip_prefix("q="))
                .map_or(1000, |q| q.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16));
            if weight > 0 {
                items.push((weight, Accepted { media_type: media_type(item), written: item.to_owned() }));
            }
        }
        items.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Accept(items.into_iter().map(|(_, accepted)| accepted).collect())
    }

    /// The most welcome of what can be made; JSON where anything is welcome.
    ///
    /// # Errors
    /// PGRST107 where none can.
    pub fn choose(&self, can: impl Fn(&MediaType) -> bool, any: MediaType) -> Result<MediaType, Error> {
        if self.0.is_empty() {
            return Ok(any);
        }
        self.0
            .iter()
            .find_map(|accepted| match &accepted.media_type {
                None => Some(any.clone()),
                Some(media_type) => can(media_type).then(|| media_type.clone()),
            })
            .ok_or_else(|| {
                let written: Vec<&str> = self.0.iter().map(|a| a.written.as_str()).collect();
                Error::NotAcceptable(written.join(", "))
            })
    }
}

fn media_type(item: &str) -> Option<MediaType> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let stripped = parts.any(|p| p == "nulls=stripped");
    Some(match name.as_str() {
        "*/*" => return None,
        "application/vnd.pgrst.array" | "application/vnd.pgrst.array+json" if stripped => {
            MediaType::JsonStripped
        }
        "application/json"
        | "application/*"
        | "application/vnd.pgrst.array"
        | "application/vnd.pgrst.array+json" => MediaType::Json,
        "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" if stripped => {
            MediaType::ObjectStripped
        }
        "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" => MediaType::Object,
        "text/csv" => MediaType::Csv,
        name if is_lines(name) => MediaType::Lines,
        "application/vnd.pgrst.plan" | "application/vnd.pgrst.plan+text" => plan(item, false),
        "application/vnd.pgrst.plan+json" => plan(item, true),
        _ => MediaType::Other(name),
    })
}

/// `application/vnd.pgrst.plan+json; for="text/csv"; options=analyze|verbose`. Of the options only `verbose` means something to
/// SQLite.
fn plan(item: &str, json: bool) -> MediaType {
    let parameter = |name: &str| item.split(';').find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='));
    let of = parameter("for").and_then(|name| media_type(name.trim_matches('"')));
    let of = Box::new(of.filter(|of| !matches!(of, MediaType::Plan { .. })).unwrap_or(MediaType::Json));
    let verbose = parameter("options").is_some_and(|options| options.split('|').any(|one| one == "verbose"));
    MediaType::Plan { json, of, verbose }
}

/// The names that JSON a line goes by.
pub(crate) fn is_lines(name: &str) -> bool {
    matches!(name, "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

impl MediaType {
    /// Whether rows of any relation can be made into it; a plan where the configuration allows it.
    pub fn is_common(&self, plans: bool) -> bool {
        match self {
            MediaType::Other(_) => false,
            MediaType::Plan { of, .. } => plans && of.is_common(plans),
            _ => true,
        }
    }

    /// What the rows are made as: of a plan, that which it is for.
    pub fn of(&self) -> &MediaType {
        match self {
            MediaType::Plan { of, .. } => of,
            other => other,
        }
    }

    /// Whether it holds exactly one row.
    pub fn is_single(&self) -> bool {
        matches!(self, MediaType::Object | MediaType::ObjectStripped)
    }

    /// The value of `Content-Type`.
    pub fn content_type(&self) -> String {
        match self {
            MediaType::Json => "application/json; charset=utf-8".to_owned(),
            MediaType::JsonStripped => {
                "application/vnd.pgrst.array+json; nulls=stripped; charset=utf-8".to_owned()
            }
            MediaType::Object => "application/vnd.pgrst.object+json; charset=utf-8".to_owned(),
            MediaType::ObjectStripped => {
                "application/vnd.pgrst.object+json; nulls=stripped; charset=utf-8".to_owned()
            }
            MediaType::Csv => "text/csv; charset=utf-8".to_owned(),
            MediaType::Lines => "application/x-ndjson; charset=utf-8".to_owned(),
            MediaType::Plan { json, of, verbose } => {
                let suffix = if *json { "json" } else { "text" };
                let of = of.content_type();
                let of = of.trim_end_matches("; charset=utf-8");
                let options = if *verbose { "; options=verbose" } else { "" };
                format!("application/vnd.pgrst.plan+{suffix}; for=\"{of}\"{options}; charset=utf-8")
            }
            MediaType::Other(name) if matches!(name.as_str(), "text/plain" | "text/xml") => {
                format!("{name}; charset=utf-8")
            }
            MediaType::Other(name) => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &[&str], expected: Option<MediaType>) {
        let chosen = Accept::parse(accept.iter().copied()).choose(|m| m.is_common(false), MediaType::Json);
        assert_eq!(chosen.ok(), expected, "{accept:?}");
    }

    #[test]
    fn plans() {
        for (written, content_type) in [
            (
                "application/vnd.pgrst.plan",
                "application/vnd.pgrst.plan+text; for=\"application/json\"; charset=utf-8",
            ),
            (
                "application/vnd.pgrst.plan+json; for=\"text/csv\"; options=analyze|verbose|settings;",
                "application/vnd.pgrst.plan+json; for=\"text/csv\"; options=verbose; charset=utf-8",
            ),
        ] {
            let chosen = Accept::parse([written].into_iter()).choose(|m| m.is_common(true), MediaType::Json);
            assert_eq!(chosen.map(|m| m.content_type()).as_deref(), Ok(content_type));
        }
    }

    #[test]
    fn weights_and_order() {
        check(&[], Some(MediaType::Json));
        check(&["text/html, */*;q=0.1"], Some(MediaType::Json));
        check(&["application/json;q=0.2", "application/vnd.pgrst.object+json"], Some(MediaType::Object));
        check(&["application/vnd.pgrst.object, application/json"], Some(MediaType::Object));
        check(&["application/vnd.pgrst.array+json;nulls=stripped"], Some(MediaType::JsonStripped));
        check(&["text/csv; q=0.01, */*"], Some(MediaType::Json));
        check(&["text/csv, */*; q=0.01"], Some(MediaType::Csv));
        check(&["application/jsonl"], Some(MediaType::Lines));
        check(&["application/json;q=0"], Some(MediaType::Json));
        check(&["image/png"], None);
        check(&["application/vnd.pgrst.plan"], None);
    }
}
