//! What a declared type means: how literals are read for it and how its values are written.
//!
//! SQLite takes any words as a type and derives an affinity from them (<https://www.sqlite.org/datatype3.html>); BOOLEAN
//! and JSON mean more to us than to SQLite.

/// What a declared type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// INTEGER, BIGINT and the like.
    Integer,
    /// REAL, DOUBLE and FLOAT.
    Real,
    /// NUMERIC, DECIMAL and the like.
    Numeric,
    /// A numeric affinity that does not come of a word for a number: DATE, TIMESTAMP, UUID, INTEGER_OR_TEXT and whatever
    /// else SQLite does not know. Numbers are numbers there and texts are texts.
    Other,
    /// Declared TIMESTAMPTZ or TIMESTAMP WITH TIME ZONE: as [`ColumnType::Other`], and told in the zone that is asked for.
    Time,
    /// TEXT affinity.
    Text,
    /// Declared BLOB.
    Blob,
    /// Declared BOOLEAN or BOOL: 0 and 1 are `false` and `true`.
    Boolean,
    /// Declared JSON or JSONB: the text is JSON and stays so in an answer.
    Json,
    /// No declared type: whatever was stored (expressions of views, too).
    Any,
}

impl ColumnType {
    /// The meaning of a declared type, by SQLite's rules of affinity.
    pub fn of(declared: &str) -> ColumnType {
        let upper = declared.trim().to_ascii_uppercase();
        let word = upper.split(['(', ' ']).next().unwrap_or_default();
        match word {
            "" | "ANY" => return ColumnType::Any,
            "BOOLEAN" | "BOOL" => return ColumnType::Boolean,
            "JSON" | "JSONB" => return ColumnType::Json,
            "TIMESTAMPTZ" => return ColumnType::Time,
            "TIMESTAMP" if upper.ends_with("WITH TIME ZONE") => return ColumnType::Time,
            _ => {}
        }
        // Only what is plainly a number promises numbers: a column declared INTEGER_OR_TEXT has INTEGER affinity too.
        match word {
            "INT" | "INTEGER" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "BIGINT" | "INT2" | "INT4"
            | "INT8" | "UNSIGNED" => return ColumnType::Integer,
            "REAL" | "DOUBLE" | "FLOAT" | "FLOAT4" | "FLOAT8" => return ColumnType::Real,
            "NUMERIC" | "DECIMAL" | "DEC" | "NUMBER" => return ColumnType::Numeric,
            _ => {}
        }
        let has = |part: &str| upper.contains(part);
        if has("INT") {
            ColumnType::Other
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            ColumnType::Text
        } else if has("BLOB") {
            ColumnType::Blob
        } else {
            ColumnType::Other
        }
    }

    /// The type's name in PostgreSQL's error messages.
    pub fn postgres_name(self) -> &'static str {
        match self {
            ColumnType::Integer => "integer",
            ColumnType::Real => "double precision",
            ColumnType::Numeric => "numeric",
            ColumnType::Text | ColumnType::Other | ColumnType::Time | ColumnType::Any => "text",
            ColumnType::Blob => "bytea",
            ColumnType::Boolean => "boolean",
            ColumnType::Json => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ColumnType::{self, *};

    #[test]
    fn meanings() {
        for (declared, meaning) in [
            ("INTEGER", Integer),
            ("bigint unsigned", Integer),
            ("VARCHAR(20)", Text),
            ("CHARINT", Other),
            ("INTEGER_OR_TEXT", Other),
            ("double precision", Real),
            ("DECIMAL(10,2)", Numeric),
            ("TIMESTAMP", Other),
            ("TimestampTZ", Time),
            ("timestamp(3) with time zone", Time),
            ("TIMESTAMP WITHOUT TIME ZONE", Other),
            ("boolean", Boolean),
            ("JSONB", Json),
            ("blob", Blob),
            ("", Any),
            ("ANY", Any),
        ] {
            assert_eq!(ColumnType::of(declared), meaning, "{declared}");
        }
    }
}
