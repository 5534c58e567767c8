//! PostgreSQL's array literals (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-INPUT>), as filters and arguments
//! write them.

/// The elements of PostgreSQL's array literal `{a,"b,c",{d}}`, each with whether it was quoted; a nested array stays text.
pub fn parse_array(text: &str) -> Option<Vec<(String, bool)>> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let (mut element, mut was_quoted) = (String::new(), false);
    let (mut depth, mut quoted) = (0, false);
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => element.extend(chars.next()),
            '"' if depth == 0 => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted && depth == 0 => {
                elements.push((std::mem::take(&mut element), std::mem::take(&mut was_quoted)));
            }
            '{' | '}' if !quoted => {
                depth += if c == '{' { 1 } else { -1 };
                element.push(c);
            }
            _ => element.push(c),
        }
    }
    if !element.is_empty() || was_quoted || !elements.is_empty() {
        elements.push((element, was_quoted));
    }
    (!quoted && depth == 0).then_some(elements)
}
