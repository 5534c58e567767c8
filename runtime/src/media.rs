//! Content negotiation (RFC 9110 section 12.5.1) among the media types that an answer can be made as.

use crate::error::Error;

/// What an answer is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`: an array of objects.
    Json,
    /// `application/vnd.pgrst.object+json`: exactly one object.
    Object,
}

impl MediaType {
    /// The best of the accepted types; JSON where nothing is said.
    ///
    /// # Errors
    /// PGRST107 where none can be made.
    pub fn negotiate<'a>(fields: impl Iterator<Item = &'a str> + Clone) -> Result<MediaType, Error> {
        let accepted = || fields.clone().flat_map(|field| field.split(',')).map(str::trim);
        let mut best: Option<(MediaType, u16)> = None;
        let mut said = false;
        for item in accepted().filter(|item| !item.is_empty()) {
            said = true;
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let media_type = match name.as_str() {
                "application/json"
                | "*/*"
                | "application/*"
                | "application/vnd.pgrst.array"
                | "application/vnd.pgrst.array+json" => MediaType::Json,
                "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" => MediaType::Object,
                _ => continue,
            };
            let weight = parts
                .find_map(|p| p.strip_prefix("q="))
                .map_or(1000, |q| q.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16));
            // Of equal weights the first counts.
            if weight > 0 && best.is_none_or(|(_, w)| weight > w) {
                best = Some((media_type, weight));
            }
        }
        match best {
            Some((media_type, _)) => Ok(media_type),
            None if !said => Ok(MediaType::Json),
            None => Err(Error::NotAcceptable(accepted().collect::<Vec<_>>().join(", "))),
        }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            MediaType::Json => "application/json; charset=utf-8",
            MediaType::Object => "application/vnd.pgrst.object+json; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &[&str], expected: Option<MediaType>) {
        assert_eq!(MediaType::negotiate(accept.iter().copied()).ok(), expected, "{accept:?}");
    }

    #[test]
    fn weights_and_order() {
        check(&[], Some(MediaType::Json));
        check(&["text/html, */*;q=0.1"], Some(MediaType::Json));
        check(&["application/json;q=0.2", "application/vnd.pgrst.object+json"], Some(MediaType::Object));
        check(&["application/vnd.pgrst.object, application/json"], Some(MediaType::Object));
        check(&["application/json;q=0"], None);
        check(&["text/csv"], None);
    }
}
