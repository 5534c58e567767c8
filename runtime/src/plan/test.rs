//! Operators with their operands as expressions, literals read by the type of what they are compared with.

use super::value::field_value;
use super::{ColumnValue, Containment, Expr, literal};
use crate::array::parse_array;
use crate::error::Error;
use crate::field::Field;
use crate::filter::{Comparison, Operand, Test};
use crate::full_text::{FullText, match_expression};
use crate::grammar::MAX_DEPTH;
use crate::schema::{ColumnType, Relation, RowKey};
use crate::value::Value;

/// The expression of one filter.
pub(super) fn expression(relation: &Relation, value: ColumnValue, test: &Test) -> Result<Expr, Error> {
    let literal_type = value.literal_type(relation);
    let representation = relation.read_representation(value.column.column).filter(|_| value.path.is_none());
    let sent = representation.and_then(|r| Some((r.column_type, r.write.clone()?)));
    let subject = Subject { literal_type, is_path: value.path.is_some(), sent, expr: Expr::Column(value) };
    match test {
        Test::Compare(comparison, Operand::Column(field)) => {
            let (left, right) = subject.and_column(relation, field)?;
            Ok(Expr::Compare(*comparison, left, right))
        }
        Test::Compare(comparison, operand) => each(operand, |text| subject.compare(*comparison, text)),
        Test::Like { pattern, ignore_case } => {
            each(pattern, |text| Ok(Expr::Glob(subject.boxed(), literal::glob(text, *ignore_case)?)))
        }
        Test::Match { pattern, ignore_case } => each(pattern, |text| {
            literal::check_pattern(text)?;
            let pattern = if *ignore_case { format!("(?i){text}") } else { text.to_owned() };
            Ok(Expr::Regexp(subject.boxed(), Value::Text(pattern)))
        }),
        Test::In(texts) => subject.is_in(texts),
        Test::Is(is) => Ok(Expr::Is(*is, subject.boxed())),
        Test::IsDistinct(Operand::Column(field)) => {
            let (left, right) = subject.and_column(relation, field)?;
            Ok(Expr::IsDistinct(left, right))
        }
        Test::IsDistinct(operand) => each(operand, |text| subject.is_distinct(text)),
        Test::Contains(text) => Ok(Expr::Contains(subject.boxed(), containment(text)?)),
        Test::ContainedBy(text) => Ok(Expr::ContainedBy(subject.boxed(), Value::Text(json_operand(text)?))),
        Test::Overlaps(text) => Ok(Expr::Overlaps(subject.boxed(), Value::Text(json_operand(text)?))),
        Test::FullText { operator, language, query } => {
            let Expr::Column(column) = subject.expr else {
                return Err(Error::Internal("a filter of no column".to_owned()));
            };
            full_text(relation, column, operator, language.as_deref(), query)
        }
        Test::Range(operator) => Err(Error::NotImplemented(format!(
            "The range operator '{operator}': SQLite has no ranges, so it"
        ))),
    }
}

/// A full-text test, by the FTS5 table that the configuration names.
fn full_text(
    relation: &Relation,
    column: ColumnValue,
    operator: &str,
    language: Option<&str>,
    query: &str,
) -> Result<Expr, Error> {
    let name = relation.columns.get(column.column.column).map_or("", |c| c.name.as_str());
    let index = relation
        .full_text
        .as_ref()
        .filter(|index| index.columns.iter().any(|known| known == name))
        .filter(|_| matches!(relation.row_key, RowKey::Rowid(_)))
        .ok_or_else(|| {
            let what =
                format!("Full-text search on '{name}': no FTS5 table is configured for it ([fts]), so it");
            Error::NotImplemented(what)
        })?;
    let operator = match operator {
        "plfts" => FullText::Plain,
        "phfts" => FullText::Phrase,
        "wfts" => FullText::Web,
        _ => FullText::Fts,
    };
    let found = match_expression(operator, language, query, &[name]).map_err(Error::FullText)?;
    Ok(Expr::FullText { column, index: index.index.clone(), found })
}

/// One value, or all or any of several.
fn each(operand: &Operand, expr: impl Fn(&str) -> Result<Expr, Error>) -> Result<Expr, Error> {
    let all = |texts: &[String]| texts.iter().map(|text| expr(text)).collect::<Result<Vec<_>, _>>();
    match operand {
        Operand::One(text) => expr(text),
        Operand::Any(texts) => all(texts).map(Expr::Or),
        Operand::All(texts) => all(texts).map(Expr::And),
        Operand::Column(field) => {
            Err(Error::Internal(format!("column {} where a value is meant", field.name)))
        }
    }
}

/// What is tested.
struct Subject {
    literal_type: ColumnType,
    is_path: bool,
    /// The type of what a client sends, and the SQL that makes it what is stored; where the two differ.
    sent: Option<(ColumnType, String)>,
    expr: Expr,
}

impl Subject {
    fn boxed(&self) -> Box<Expr> {
        Box::new(self.expr.clone())
    }

    /// What is tested and another column of its row, JSON on either side without needless white space.
    fn and_column(&self, relation: &Relation, field: &Field) -> Result<(Box<Expr>, Box<Expr>), Error> {
        let Expr::Column(own) = &self.expr else {
            return Err(Error::Internal("a filter of no column".to_owned()));
        };
        let other = field_value(own.column.source, relation, field)?;
        let is_json = |value: &ColumnValue| value.literal_type(relation) == ColumnType::Json;
        let expr = |value: ColumnValue| match is_json(&value) {
            true => Box::new(Expr::CanonicalJson(Box::new(Expr::Column(value)))),
            false => Box::new(Expr::Column(value)),
        };
        Ok((expr(own.clone()), expr(other)))
    }

    /// A literal of what a client sends, as it would be stored.
    fn stored(&self, text: &str) -> Result<Option<Expr>, Error> {
        let Some((sent_type, sql)) = &self.sent else { return Ok(None) };
        literal::from_text(*sent_type, text).map(|value| Some(Expr::Represented(sql.clone(), value)))
    }

    fn compare(&self, comparison: Comparison, text: &str) -> Result<Expr, Error> {
        if let Some(stored) = self.stored(text)? {
            return Ok(Expr::Compare(comparison, self.boxed(), Box::new(stored)));
        }
        match self.literal_type {
            ColumnType::Any => Ok(self.compare_any(comparison, text)),
            ColumnType::Json if self.is_order(comparison, text) => {
                let Expr::Column(value) = &self.expr else { return Ok(self.compare_any(comparison, text)) };
                let scalar = || Box::new(Expr::JsonScalar(value.clone()));
                let number = literal::number(text).unwrap_or(Value::Null);
                Ok(Expr::And(vec![
                    Expr::Not(Box::new(Expr::IsText(scalar()))),
                    Expr::Compare(comparison, scalar(), Box::new(Expr::Value(number))),
                ]))
            }
            ColumnType::Json if !matches!(comparison, Comparison::Eq | Comparison::Neq) && is_array(text) => {
                Ok(Expr::ArrayOrder(comparison, self.boxed(), Value::Text(json_operand(text)?)))
            }
            ColumnType::Json => {
                let (subject, value) = self.canonical(text)?;
                Ok(Expr::Compare(comparison, Box::new(subject), Box::new(Expr::Value(value))))
            }
            literal_type => {
                let value = literal::from_text(literal_type, text)?;
                Ok(Expr::Compare(comparison, self.boxed(), Box::new(Expr::Value(value))))
            }
        }
    }

    /// Whether JSON behind an arrow is asked to be less or more than a number.
    fn is_order(&self, comparison: Comparison, text: &str) -> bool {
        self.is_path
            && !matches!(comparison, Comparison::Eq | Comparison::Neq)
            && literal::number(text).is_some()
    }

    /// A column without a declared type holds whatever was stored: a literal that looks like a number is compared with
    /// numbers as a number and with text as text.
    fn compare_any(&self, comparison: Comparison, text: &str) -> Expr {
        let compare = |value| Expr::Compare(comparison, self.boxed(), Box::new(Expr::Value(value)));
        let as_text = compare(Value::Text(text.to_owned()));
        match literal::number(text) {
            None => as_text,
            Some(number) => Expr::Or(vec![
                Expr::And(vec![Expr::IsText(self.boxed()), as_text]),
                Expr::And(vec![Expr::Not(Box::new(Expr::IsText(self.boxed()))), compare(number)]),
            ]),
        }
    }

    /// JSON is compared as JSON: both sides without needless white space. A text that is no JSON is compared as it is
    /// with a whole column, whose values may be none either, and is an error behind an arrow, as in PostgreSQL.
    fn canonical(&self, text: &str) -> Result<(Expr, Value), Error> {
        match json_operand(text) {
            Ok(json) => Ok((Expr::CanonicalJson(self.boxed()), Value::Text(json))),
            Err(error) if self.is_path => Err(error),
            Err(_) => Ok((self.expr.clone(), Value::Text(text.to_owned()))),
        }
    }

    fn is_in(&self, texts: &[String]) -> Result<Expr, Error> {
        if self.literal_type == ColumnType::Json || self.sent.is_some() {
            let any: Result<Vec<Expr>, Error> =
                texts.iter().map(|t| self.compare(Comparison::Eq, t)).collect();
            return any.map(Expr::Or);
        }
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            if self.literal_type == ColumnType::Any {
                values.extend(literal::number(text));
            }
            values.push(literal::from_text(self.literal_type, text)?);
        }
        Ok(Expr::In(self.boxed(), values))
    }

    fn is_distinct(&self, text: &str) -> Result<Expr, Error> {
        if let Some(stored) = self.stored(text)? {
            return Ok(Expr::IsDistinct(self.boxed(), Box::new(stored)));
        }
        let (subject, value) = match self.literal_type {
            ColumnType::Json => self.canonical(text)?,
            ColumnType::Any => {
                let value = literal::number(text).unwrap_or_else(|| Value::Text(text.to_owned()));
                (self.expr.clone(), value)
            }
            literal_type => (self.expr.clone(), literal::from_text(literal_type, text)?),
        };
        Ok(Expr::IsDistinct(Box::new(subject), Box::new(Expr::Value(value))))
    }
}

/// An operand as JSON without needless white space: JSON, or PostgreSQL's array literal `{1,2}`.
fn json_operand(text: &str) -> Result<String, Error> {
    json_value(text).map(|json| json.to_string())
}

fn json_value(text: &str) -> Result<serde_json::Value, Error> {
    if let Some(json) = parse_json(text) {
        return Ok(json);
    }
    check_depth(text)?;
    array_json(text).ok_or_else(|| Error::Literal { declared: "json", value: text.to_owned() })
}

/// Arrays are read by recursion, and each level reads all that is inside it again.
fn check_depth(text: &str) -> Result<(), Error> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MAX_DEPTH {
        return Err(Error::TooComplex(format!("an array nests deeper than {MAX_DEPTH} levels")));
    }
    Ok(())
}

/// Whether an operand is an array: `[1,2]` or `{1,2}`.
fn is_array(text: &str) -> bool {
    parse_json(text).map_or_else(|| parse_array(text).is_some(), |json| json.is_array())
}

fn parse_json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

/// `{1,a,"b c",{2}}` as `[1,"a","b c",[2]]`. What looks like a number or boolean and is not quoted is one.
fn array_json(text: &str) -> Option<serde_json::Value> {
    let elements = parse_array(text)?;
    let element = |(text, quoted): (String, bool)| {
        if quoted {
            return serde_json::Value::String(text);
        }
        if let Some(nested) = text.starts_with('{').then(|| array_json(&text)).flatten() {
            return nested;
        }
        match parse_json(text.trim()) {
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => value,
            _ if text.eq_ignore_ascii_case("null") => serde_json::Value::Null,
            _ => serde_json::Value::String(text.trim().to_owned()),
        }
    };
    Some(serde_json::Value::Array(elements.into_iter().map(element).collect()))
}

fn containment(text: &str) -> Result<Containment, Error> {
    json_value(text).map(|json| contains(&json))
}

fn contains(json: &serde_json::Value) -> Containment {
    use serde_json::Value as Json;
    match json {
        Json::Object(members) => Containment::Members(
            members.iter().map(|(name, value)| (name.clone(), contains(value))).collect(),
        ),
        Json::Array(elements) => Containment::Elements(elements.iter().map(contains).collect()),
        Json::String(text) => Containment::Value(Value::Text(text.clone())),
        Json::Null => Containment::Value(Value::Null),
        Json::Bool(b) => Containment::Value(Value::Text(b.to_string())),
        Json::Number(number) => Containment::Value(Value::Text(number.to_string())),
    }
}
