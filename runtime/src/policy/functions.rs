//! The functions of SQLite that a policy may call: those that every host has, that give equal results for equal arguments,
//! and that no value stored in a row makes fail.

/// A function.
pub(super) struct Function {
    /// Its name.
    pub(super) name: &'static str,
    /// The fewest arguments.
    pub(super) least: usize,
    /// The most arguments.
    pub(super) most: usize,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a function is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of one row's values.
    Scalar,
    /// Of one row's values, the first of which must be JSON, or it fails.
    Json,
    /// With a format.
    Format,
    /// `replace`
    Replace,
    /// Of dates, where `now` would be another one each time.
    Date,
    /// Of several rows.
    Aggregate,
    /// Of several rows with one argument, and of one row's values with more.
    Either,
}

const MANY: usize = 100;

const fn function(name: &'static str, least: usize, most: usize, kind: Kind) -> Function {
    Function { name, least, most, kind }
}

/// All of them. <https://www.sqlite.org/lang_corefunc.html>, `json1.html`, `lang_datefunc.html`, `lang_aggfunc.html`
pub(super) const FUNCTIONS: &[Function] = &[
    function("char", 1, MANY, Kind::Scalar),
    function("coalesce", 2, MANY, Kind::Scalar),
    function("concat", 1, MANY, Kind::Scalar),
    function("concat_ws", 2, MANY, Kind::Scalar),
    function("format", 1, MANY, Kind::Format),
    function("hex", 1, 1, Kind::Scalar),
    function("ifnull", 2, 2, Kind::Scalar),
    function("iif", 3, 3, Kind::Scalar),
    function("instr", 2, 2, Kind::Scalar),
    function("length", 1, 1, Kind::Scalar),
    function("lower", 1, 1, Kind::Scalar),
    function("ltrim", 1, 2, Kind::Scalar),
    function("nullif", 2, 2, Kind::Scalar),
    function("octet_length", 1, 1, Kind::Scalar),
    function("printf", 1, MANY, Kind::Format),
    function("quote", 1, 1, Kind::Scalar),
    function("replace", 3, 3, Kind::Replace),
    function("round", 1, 2, Kind::Scalar),
    function("rtrim", 1, 2, Kind::Scalar),
    function("sign", 1, 1, Kind::Scalar),
    function("substr", 2, 3, Kind::Scalar),
    function("substring", 2, 3, Kind::Scalar),
    function("trim", 1, 2, Kind::Scalar),
    function("typeof", 1, 1, Kind::Scalar),
    function("unhex", 1, 2, Kind::Scalar),
    function("unicode", 1, 1, Kind::Scalar),
    function("upper", 1, 1, Kind::Scalar),
    function("json", 1, 1, Kind::Json),
    function("json_array_length", 1, 2, Kind::Json),
    function("json_extract", 2, MANY, Kind::Json),
    function("json_remove", 1, MANY, Kind::Json),
    function("json_type", 1, 2, Kind::Json),
    function("json_valid", 1, 1, Kind::Scalar),
    function("date", 1, MANY, Kind::Date),
    function("datetime", 1, MANY, Kind::Date),
    function("julianday", 1, MANY, Kind::Date),
    function("strftime", 2, MANY, Kind::Date),
    function("time", 1, MANY, Kind::Date),
    function("unixepoch", 1, MANY, Kind::Date),
    function("avg", 1, 1, Kind::Aggregate),
    function("count", 1, 1, Kind::Aggregate),
    function("group_concat", 1, 2, Kind::Aggregate),
    function("sum", 1, 1, Kind::Aggregate),
    function("total", 1, 1, Kind::Aggregate),
    function("max", 1, MANY, Kind::Either),
    function("min", 1, MANY, Kind::Either),
];

/// The functions that give another result each time, for a clear error.
pub(super) const NOT_DETERMINISTIC: &[&str] = &[
    "random",
    "randomblob",
    "last_insert_rowid",
    "changes",
    "total_changes",
    "current_timestamp",
    "current_date",
    "current_time",
    "timediff",
];
