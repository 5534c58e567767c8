//! Columns and parameters as JSON schemas.

use serde_json::Value as Json;

use super::json::{Members, list, text, truth};
use crate::config::{OpenApiVersion, UdfParam};
use crate::schema::{Column, ColumnType, Facts, default_literal};

/// What is known of the values of a column or a parameter.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// What they are; none: anything.
    pub(super) of: Option<ColumnType>,
    /// The declared type.
    pub(super) declared: &'a str,
    /// What CHECK constraints say.
    pub(super) facts: Option<&'a Facts>,
    /// Whether a client sends them.
    pub(super) sent: bool,
    /// Whether NULL is one.
    pub(super) nullable: bool,
}

impl<'a> Values<'a> {
    /// Those that are told of a column. A mask may be anything.
    #[inline(never)]
    pub(super) fn told(column: &'a Column, facts: Option<&'a Facts>, nullable: bool) -> Values<'a> {
        let representation = column.representation.as_ref().filter(|own| own.read.is_some());
        let is_plain = representation.is_none() && !column.masked;
        let of = representation.map_or(column.column_type, |own| own.column_type);
        Values {
            of: (!column.masked).then_some(of),
            declared: if is_plain { &column.declared_type } else { "" },
            facts: facts.filter(|_| is_plain),
            sent: false,
            nullable: nullable || representation.is_some(),
        }
    }

    /// Those that a client sends for a column.
    #[inline(never)]
    pub(super) fn sent(column: &'a Column, facts: Option<&'a Facts>) -> Values<'a> {
        let representation = column.representation.as_ref().filter(|own| own.write.is_some());
        let of = representation.map_or(column.column_type, |own| own.column_type);
        Values {
            of: Some(of),
            declared: if representation.is_none() { &column.declared_type } else { "" },
            facts: facts.filter(|_| representation.is_none()),
            sent: true,
            nullable: !column.not_null,
        }
    }

    /// Those of a declared type.
    #[inline(never)]
    pub(super) fn declared(declared: &'a str, sent: bool) -> Values<'a> {
        Values { of: Some(ColumnType::of(declared)), declared, facts: None, sent, nullable: false }
    }

    /// The only values, where there are such.
    #[inline(never)]
    pub(super) fn one_of(&self) -> Option<Vec<Json>> {
        let fits = |value: &Json| match self.of {
            Some(ColumnType::Text) => value.is_string(),
            Some(ColumnType::Integer) => value.is_i64(),
            _ => false,
        };
        self.facts?.one_of.clone().filter(|values| values.iter().all(fits))
    }

    /// The fewest and the most characters of a text. `VARCHAR(20)` says the most that is meant, which SQLite does not see to.
    #[inline(never)]
    pub(super) fn lengths(&self, with_declared: bool) -> (Option<u64>, Option<u64>) {
        if self.of != Some(ColumnType::Text) {
            return (None, None);
        }
        let declared = if with_declared { declared_length(self.declared) } else { None };
        let checked = self.facts.and_then(|facts| facts.max_length);
        let most = declared.into_iter().chain(checked).min();
        (self.facts.and_then(|facts| facts.min_length), most)
    }

    /// The only values, as a list; nothing where there are others. Null is one of them, where it is one at all.
    #[inline(never)]
    pub(super) fn enumerated(&self) -> String {
        let Some(values) = self.one_of() else { return String::new() };
        let mut values: Vec<String> = values.iter().map(Json::to_string).collect();
        if self.nullable {
            values.push("null".to_owned());
        }
        list(&values)
    }

    /// Adds the ends of a range of numbers. In 3.1 an exclusive end is a number of its own.
    #[inline(never)]
    fn add_range(&self, version: OpenApiVersion, schema: &mut Members) {
        let is_number = matches!(self.of, Some(ColumnType::Integer | ColumnType::Real | ColumnType::Numeric));
        let Some(facts) = self.facts.filter(|_| is_number) else { return };
        for (bound, inclusive, exclusive) in
            [(&facts.minimum, "minimum", "exclusiveMinimum"), (&facts.maximum, "maximum", "exclusiveMaximum")]
        {
            let Some(bound) = bound else { continue };
            let has_own = version == OpenApiVersion::V3_1;
            let name = if bound.exclusive && has_own { exclusive } else { inclusive };
            schema.json(name, &bound.value.to_string());
            if bound.exclusive && !has_own {
                schema.json(exclusive, "true");
            }
        }
    }

    /// As a schema of OpenAPI 3, to which more may be added.
    #[inline(never)]
    pub(super) fn schema(&self, version: OpenApiVersion) -> Members {
        let mut schema = Members::default();
        let (kind, format) = self.kind();
        add_type(version, kind, self.nullable, &mut schema);
        schema.text("format", format);
        if self.of == Some(ColumnType::Blob) && version == OpenApiVersion::V3_1 {
            schema.text("contentEncoding", "base64");
        }
        schema.json("enum", &self.enumerated());
        let (least, most) = self.lengths(self.sent);
        schema.number("minLength", least);
        schema.number("maxLength", most);
        self.add_range(version, &mut schema);
        schema
    }

    /// Whether they are texts.
    #[inline(never)]
    pub(super) fn is_text(&self) -> bool {
        self.kind().0 == "string"
    }

    /// Type and format; nothing where they may be any. A text that SQLite does not look at has a format where a client sends it, and none
    /// where it is told: what was stored may be otherwise.
    #[inline(never)]
    fn kind(&self) -> (&'static str, &'static str) {
        let Some(of) = self.of else { return ("", "") };
        let format = match (of, word(self.declared).as_str()) {
            (ColumnType::Integer, _) => return ("integer", "int64"),
            (ColumnType::Real, _) => return ("number", "double"),
            (ColumnType::Numeric, _) => return ("number", ""),
            (ColumnType::Boolean, _) => return ("boolean", ""),
            (ColumnType::Blob, _) => return ("string", "byte"),
            (ColumnType::Time, _) | (ColumnType::Other, "DATETIME" | "TIMESTAMP") => "date-time",
            (ColumnType::Other, "DATE") => "date",
            (ColumnType::Other, "UUID") => "uuid",
            (ColumnType::Text, _) | (ColumnType::Other, "TIME") => "",
            (ColumnType::Json | ColumnType::Any | ColumnType::Other, _) => return ("", ""),
        };
        ("string", if self.sent { format } else { "" })
    }

    /// A value that fits, as JSON; nothing where none is known.
    #[inline(never)]
    pub(super) fn example(&self) -> String {
        if let Some(first) = self.one_of().and_then(|values| values.into_iter().next()) {
            return first.to_string();
        }
        let example = match self.kind() {
            ("integer", _) => return self.whole_example().to_string(),
            ("number", _) => return self.real_example(),
            ("boolean", _) => return "true".to_owned(),
            (_, "byte") => "AP8=",
            (_, "date") => "2024-01-31",
            (_, "uuid") => "3f1c1a0e-5b1d-4c43-9d5e-6a2f4f0c8b7e",
            (_, "date-time") => "2024-01-31T12:00:00Z",
            ("string", _) if self.of == Some(ColumnType::Text) => return self.text_example(),
            _ if self.of == Some(ColumnType::Json) => return "{\"key\":\"value\"}".to_owned(),
            _ => return String::new(),
        };
        text(example)
    }

    #[inline(never)]
    fn whole_example(&self) -> i64 {
        let end = |bound: &Option<crate::schema::Bound>, step: i64| {
            let bound = bound.as_ref()?;
            bound.value.as_i64().map(|value| if bound.exclusive { value.saturating_add(step) } else { value })
        };
        let Some(facts) = self.facts else { return 1 };
        let (least, most) = (end(&facts.minimum, 1), end(&facts.maximum, -1));
        1.max(least.unwrap_or(i64::MIN)).min(most.unwrap_or(i64::MAX))
    }

    #[inline(never)]
    fn real_example(&self) -> String {
        let ends = self.facts.and_then(|facts| facts.minimum.as_ref().or(facts.maximum.as_ref()));
        match ends {
            Some(bound) if !bound.exclusive => bound.value.to_string(),
            // What lies beyond an end is not known to be before the other.
            Some(_) => String::new(),
            None => "1.5".to_owned(),
        }
    }

    #[inline(never)]
    fn text_example(&self) -> String {
        const SAMPLE: &str = "text";
        const LONGEST: u64 = 256;
        let (least, most) = self.lengths(true);
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(LONGEST));
        let wanted = (SAMPLE.len() as u64).max(least).min(most);
        if wanted < least || wanted > LONGEST {
            return String::new();
        }
        let length = usize::try_from(wanted).unwrap_or(0);
        text(&SAMPLE.chars().cycle().take(length).collect::<String>())
    }
}

/// Adds a type, if there is one, and that null is one of its values. What has no type is anything already.
#[inline(never)]
pub(super) fn add_type(version: OpenApiVersion, kind: &str, nullable: bool, schema: &mut Members) {
    match (nullable, version) {
        _ if kind.is_empty() => {}
        (true, OpenApiVersion::V3_1) => schema.json("type", &list(&[text(kind), text("null")])),
        (true, _) => {
            schema.text("type", kind);
            schema.json("nullable", "true");
        }
        (false, _) => schema.text("type", kind),
    }
}

/// Adds an example, which is JSON: 3.1 has a list of them.
#[inline(never)]
pub(super) fn add_example(version: OpenApiVersion, schema: &mut Members, example: String) {
    match version {
        _ if example.is_empty() => {}
        OpenApiVersion::V3_1 => schema.json("examples", &list(&[example])),
        _ => schema.json("example", &example),
    }
}

/// The default of a column, as a client would send it, as JSON; of an expression, nothing.
#[inline(never)]
pub(super) fn default(column: &Column) -> String {
    let is_plain = !column.masked && column.representation.is_none();
    let sql = column.default.as_deref().filter(|_| is_plain);
    let Some(literal) = sql.and_then(default_literal) else { return String::new() };
    let column_type = column.column_type;
    let fits = match (&literal, column_type) {
        (Json::Number(number), ColumnType::Boolean) => match number.as_i64() {
            Some(is @ (0 | 1)) => return truth(is == 1),
            _ => false,
        },
        (Json::Bool(is), ColumnType::Integer) => return i64::from(*is).to_string(),
        (Json::Bool(_), _) => column_type == ColumnType::Boolean,
        (Json::Number(number), ColumnType::Integer) => number.is_i64(),
        (Json::Number(number), ColumnType::Text) => return text(&number.to_string()),
        (Json::Number(_), _) => {
            !matches!(column_type, ColumnType::Blob | ColumnType::Json | ColumnType::Time)
        }
        (Json::String(digits), ColumnType::Integer | ColumnType::Real | ColumnType::Numeric) => {
            // SQLite makes a number of it.
            let number = default_literal(digits).filter(Json::is_number);
            let is_whole = number.as_ref().is_some_and(Json::is_i64);
            let number = number.filter(|_| is_whole || column_type != ColumnType::Integer);
            return number.map(|number| number.to_string()).unwrap_or_default();
        }
        (Json::String(json), ColumnType::Json) => {
            let json = serde_json::from_str::<Json>(json);
            return json.map(|json| json.to_string()).unwrap_or_default();
        }
        (Json::String(_), _) => !matches!(column_type, ColumnType::Blob | ColumnType::Boolean),
        _ => false,
    };
    if fits { literal.to_string() } else { String::new() }
}

/// The first word of a declared type, in upper case.
#[inline(never)]
fn word(declared: &str) -> String {
    declared.trim().split(['(', ' ']).next().unwrap_or_default().to_ascii_uppercase()
}

/// The 20 of `VARCHAR(20)`.
#[inline(never)]
fn declared_length(declared: &str) -> Option<u64> {
    let inner = declared.split_once('(')?.1.split_once(')')?.0;
    inner.trim().parse().ok()
}

/// What Swagger calls a type, as PostgREST does; nothing for what is any JSON.
#[inline(never)]
pub(super) fn swagger_type(values: &Values<'_>) -> &'static str {
    match values.of {
        Some(ColumnType::Integer) => "integer",
        Some(ColumnType::Real | ColumnType::Numeric) => "number",
        Some(ColumnType::Boolean) => "boolean",
        Some(ColumnType::Text | ColumnType::Blob | ColumnType::Time | ColumnType::Other) => "string",
        Some(ColumnType::Json | ColumnType::Any) | None => "",
    }
}

/// Whether a function cannot be called without this argument.
#[inline(never)]
pub(super) fn is_required(param: &UdfParam) -> bool {
    param.default.is_none() && !param.variadic
}

/// What PostgREST gives as the format: OpenAPI's word for numbers, and else the name of a declared type in PostgreSQL. SQLite's integers
/// are of 64 bits, however they are declared.
#[inline(never)]
pub(super) fn postgres_format(values: &Values<'_>) -> String {
    let word = word(values.declared);
    let lower = values.declared.trim().to_ascii_lowercase();
    let name = match (values.of, word.as_str()) {
        (None | Some(ColumnType::Any), _) => "",
        (Some(ColumnType::Integer), _) => "int64",
        (Some(ColumnType::Real), _) => "double",
        (Some(ColumnType::Text), "VARCHAR" | "NVARCHAR" | "CHARACTER" | "VARYING") => "character varying",
        (Some(ColumnType::Text), "CHAR" | "NCHAR") => "character",
        (Some(ColumnType::Time), _) => "timestamp with time zone",
        (Some(ColumnType::Json), "JSONB") => "jsonb",
        (Some(ColumnType::Other), "DATETIME" | "TIMESTAMP") => "timestamp without time zone",
        (Some(ColumnType::Other), _) if !lower.is_empty() => return lower,
        (Some(column_type), _) => column_type.postgres_name(),
    };
    name.to_owned()
}
