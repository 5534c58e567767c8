//! A query as a tree, whatever grammar it was written in, and what remains of it without its stop words.

/// A query or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    /// Where a stop word stood, or nothing.
    Gap,
    /// A word.
    Word(Word),
    /// Texts that the part does not find.
    Not(Box<Query>),
    /// Texts that all parts find.
    And(Vec<Query>),
    /// Texts that one of the parts finds.
    Or(Vec<Query>),
    /// Texts with the parts one after the other.
    Phrase(Vec<Step>),
}

/// A word to look for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Words that begin with the text are meant too.
    pub(super) prefix: bool,
}

/// A part of a phrase.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// From the end of the step before, in words: 1 is the next word. Means nothing in the first step.
    pub(super) distance: u32,
    pub(super) query: Query,
}

/// What remains of a part, and how much farther than written its neighbours in a phrase are: to the one before, and to the
/// one after. Where nothing remains, both are the width of all that was removed.
struct Remains {
    query: Option<Query>,
    before: u32,
    after: u32,
}

impl Query {
    /// How many words it has.
    pub(super) fn words(&self) -> usize {
        match self {
            Query::Gap => 0,
            Query::Word(_) => 1,
            Query::Not(part) => part.words(),
            Query::And(parts) | Query::Or(parts) => parts.iter().map(Query::words).sum(),
            Query::Phrase(steps) => steps.iter().map(|step| step.query.words()).sum(),
        }
    }

    /// The query without gaps. A part that is a gap is as if not written, but that it keeps the words of a phrase apart.
    pub(super) fn without_gaps(self) -> Option<Query> {
        remains(self).query
    }
}

/// PostgreSQL's `clean_stopword_intree`.
fn remains(query: Query) -> Remains {
    match query {
        Query::Gap => Remains { query: None, before: 0, after: 0 },
        Query::Word(_) => Remains { query: Some(query), before: 0, after: 0 },
        Query::Not(part) => {
            let part = remains(*part);
            Remains { query: part.query.map(|query| Query::Not(Box::new(query))), ..part }
        }
        Query::And(parts) => remains_of_list(parts, Query::And),
        Query::Or(parts) => remains_of_list(parts, Query::Or),
        Query::Phrase(steps) => remains_of_phrase(steps),
    }
}

fn remains_of_list(parts: Vec<Query>, list: fn(Vec<Query>) -> Query) -> Remains {
    let mut left = Vec::new();
    let (mut before, mut after) = (0, 0);
    for part in parts {
        let part = remains(part);
        match part.query {
            None if left.is_empty() => {
                before = part.before.max(before);
                after = before;
            }
            None => {}
            Some(query) => {
                // Distances pass through a list of one part, for then there is no list.
                (before, after) = if left.is_empty() { (part.before, part.after) } else { (0, 0) };
                left.push(query);
            }
        }
    }
    Remains { query: one_or(left, list), before, after }
}

fn remains_of_phrase(steps: Vec<Step>) -> Remains {
    let mut left: Vec<Step> = Vec::new();
    let (mut before, mut after) = (0_u32, 0_u32);
    for (place, step) in steps.into_iter().enumerate() {
        let distance = if place == 0 { 0 } else { step.distance };
        let part = remains(step.query);
        match part.query {
            None => {
                after = after.saturating_add(distance).saturating_add(part.after);
                if left.is_empty() {
                    before = after;
                }
            }
            Some(query) => {
                let distance = distance.saturating_add(after).saturating_add(part.before);
                if left.is_empty() {
                    before = distance;
                }
                after = part.after;
                left.push(Step { distance, query });
            }
        }
    }
    let query = match left.len() {
        0 | 1 => left.pop().map(|step| step.query),
        _ => Some(Query::Phrase(left)),
    };
    Remains { query, before, after }
}

/// The list of these parts: the part itself if it is the only one, nothing if there are none.
pub(super) fn one_or(mut parts: Vec<Query>, list: fn(Vec<Query>) -> Query) -> Option<Query> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(list(parts)),
    }
}
