//! What a declared type means: how literals are read for it and how its values are written.
//!
//! SQLite takes any words as a type and derives an affinity from them (<https://www.sqlite.org/datatype3.html>); BOOLEAN
//! and JSON mean more to us than to SQLite.

/// What a declared type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// INTEGER affinity.
    Integer,
    /// REAL affinity.
    Real,
    /// NUMERIC, DECIMAL and the like.
    Numeric,
    /// NUMERIC affinity without a word for a number: DATE, TIMESTAMP, UUID and whatever else SQLite does not know.
    Other,
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
            _ => {}
        }
        let has = |part: &str| upper.contains(part);
        if has("INT") {
            ColumnType::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            ColumnType::Text
        } else if has("BLOB") {
            ColumnType::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            ColumnType::Real
        } else if has("NUM") || has("DEC") || has("MONEY") {
            ColumnType::Numeric
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
            ColumnType::Text | ColumnType::Other | ColumnType::Any => "text",
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
            ("CHARINT", Integer),
            ("double precision", Real),
            ("DECIMAL(10,2)", Numeric),
            ("TIMESTAMP", Other),
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
