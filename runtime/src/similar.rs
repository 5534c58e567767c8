//! "Perhaps you meant": the nearest of a few names.

/// The candidate nearest to `name`, if at least half alike.
pub fn closest(name: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (similarity(name, &candidate), candidate))
        .filter(|(score, _)| *score >= 500)
        .max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)))
        .map(|(_, candidate)| candidate)
}

/// How alike two names are, in thousandths: 1 − edit distance / longer length, ASCII case ignored.
fn similarity(a: &str, b: &str) -> usize {
    // Names of absurd length are not worth a quadratic comparison.
    const LONGEST: usize = 128;
    let a: Vec<char> = a.chars().take(LONGEST).map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().take(LONGEST).map(|c| c.to_ascii_lowercase()).collect();
    let longest = a.len().max(b.len()).max(1);
    // Levenshtein distance, one row at a time.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (above, y) in row.iter().skip(1).zip(&b) {
            left = (diagonal + usize::from(x != y)).min(left + 1).min(above + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    let distance = row.last().copied().unwrap_or(0);
    1000 - distance * 1000 / longest
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn nearest_name() {
        let names = ["albums", "artists", "tracks"].map(str::to_owned);
        assert_eq!(closest("album", names.clone()).as_deref(), Some("albums"));
        assert_eq!(closest("Trakcs", names.clone()).as_deref(), Some("tracks"));
        assert_eq!(closest("zzz", names).as_deref(), None);
    }
}
