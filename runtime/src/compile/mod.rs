//! The fourth stage: an authorized plan becomes a program of SQL statements.
//!
//! A program is data; [`run`](crate::run) is its one interpreter. SQL text is written through [`writer::Sql`] alone.

mod call;
mod containment;
mod embed;
mod expression;
mod policy;
mod read;
mod tree;
mod value;
mod write;
mod writer;

use crate::asker::Asker;
use crate::authorize::{Authorized, Limits};
use crate::encode::{RowFormat, Shape};
use crate::error::Error;
use crate::etag::Conditional;
use crate::identity::Identity;
use crate::plan::{Alias, Plan, Source};
use crate::policy::Rows;
use crate::schema::{RelationId, SchemaCache};
use crate::timezone::Zone;
use crate::value::Value;
pub(crate) use policy::denied;
use read::From;
pub(crate) use write::naming;
use writer::Sql;

/// The statements of one request, run in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

impl Program {
    /// Lets the shell stream the rows, if there is nothing to be done but to read them.
    pub(crate) fn stream(&mut self) {
        if let [Step::Page { format, .. }] = self.steps.as_mut_slice() {
            format.stream();
        }
    }
}

/// The insert of one row of a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeStatement {
    /// The statement. It returns what other rows need of this one, then its key.
    pub statement: Statement,
    /// How many columns are for other rows.
    pub given: usize,
    /// Whether the row is one of the outermost.
    pub is_root: bool,
    /// What a policy wants of the row. Its key stands behind that.
    pub check: Option<TreeCheck>,
    /// What stands last in what is returned: by what a record names the row.
    pub named: Option<Named>,
}

/// The last columns that a write returns: by what a record of it names its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whose rows they are.
    pub relation: RelationId,
    /// How many columns.
    pub columns: usize,
}

/// What a policy wants of a row of a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeCheck {
    /// How many columns its key has.
    pub key: usize,
    /// Counts the rows of this key that break the check.
    pub statement: Statement,
    /// The same of the values, where the insert fails.
    pub proposed: Statement,
    /// Whether they are looked at before: what asks other rows must not find the new one among them.
    pub is_before: bool,
    /// What it is then.
    pub violation: Violation,
}

/// A row that breaks a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The relation's name.
    pub relation: String,
    /// Whether it is one that was there and may not be changed.
    pub using: bool,
}

/// One statement and what becomes of its rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The rows must be those of which the client knows, or the program ends here.
    Precondition {
        /// The statement.
        statement: Statement,
        /// How its rows are written.
        format: RowFormat,
        /// What must hold.
        tests: Conditional,
    },
    /// The rows are the page of the answer.
    Page {
        /// The statement.
        statement: Statement,
        /// How its rows are written.
        format: RowFormat,
    },
    /// The row is the number of all rows, of which the page showed a part. Left out where the page showed the last one.
    Count {
        /// The statement.
        statement: Statement,
        /// Rows passed over before the page.
        offset: u64,
        /// Rows that the page could hold.
        limit: Option<u64>,
    },
    /// The rows are the keys of the last row of the page in its order, and of the first behind it, if there is one. Left
    /// out where the page is not full.
    Last {
        /// The statement.
        statement: Statement,
        /// Rows that the page can hold.
        limit: u64,
    },
    /// The row is the number of rows to be inserted whose key is there already.
    CountExisting(Statement),
    /// A write; each row is the key of a row that it touched.
    Write {
        /// The statements: an insert of many rows is several.
        statements: Vec<Statement>,
        /// What the keys are for.
        keys: Keys,
        /// How many columns stand before the key, for `Location`.
        located: usize,
        /// For each statement one that counts the rows which break a policy's check, for where it fails: whoever may not write
        /// a row is not told of what else is wrong with it.
        proposed: Vec<Statement>,
        /// What they break.
        violation: Option<Violation>,
        /// How many rows must be written, and what it is where they are not: an upsert passes over a row that is there and may not be
        /// changed.
        all: Option<(u64, Violation)>,
        /// By what a record names its rows, where one is kept.
        named: Option<Named>,
    },
    /// The row is the number of rows that break a policy; there must be none.
    Expect {
        /// The statement.
        statement: Statement,
        /// What they break.
        violation: Violation,
    },
    /// Rows that need each other's values.
    WriteTree {
        /// The rows.
        rows: Vec<TreeStatement>,
        /// What the keys of the outermost rows are for.
        keys: Keys,
    },
    /// A write whose rows are the page of the answer (views, whose rows have no key).
    WritePage {
        /// The statements.
        statements: Vec<Statement>,
        /// How the rows are written.
        format: RowFormat,
    },
}

impl Step {
    /// A write that no policy checks.
    fn write(statements: Vec<Statement>, keys: Keys) -> Step {
        let (proposed, violation, all, named) = (Vec::new(), None, None, None);
        Step::Write { statements, keys, located: 0, proposed, violation, all, named }
    }

    /// What it is called in plans.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Precondition { .. } => "precondition",
            Step::Page { .. } => "page",
            Step::Count { .. } => "count",
            Step::Last { .. } => "last",
            Step::CountExisting(_) => "count existing",
            Step::Expect { .. } => "expect none",
            Step::Write { .. } | Step::WriteTree { .. } => "write",
            Step::WritePage { .. } => "write page",
        }
    }

    /// Its statements.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        let (one, several, tree): (Option<&Statement>, &[Statement], &[TreeStatement]) = match self {
            Step::Precondition { statement, .. }
            | Step::Page { statement, .. }
            | Step::Count { statement, .. }
            | Step::Last { statement, .. }
            | Step::Expect { statement, .. }
            | Step::CountExisting(statement) => (Some(statement), &[], &[]),
            Step::Write { statements, .. } | Step::WritePage { statements, .. } => (None, statements, &[]),
            Step::WriteTree { rows, .. } => (None, &[], rows),
        };
        one.into_iter().chain(several).chain(tree.iter().map(|row| &row.statement))
    }
}

/// What the keys of written rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// They are counted.
    Count,
    /// The first one goes into `Location`.
    Location,
    /// They are handed to the next statement, as [`Param::Rowids`] or [`Param::PrimaryKeys`].
    ReadBack,
}

impl Keys {
    /// Whether the key of one more row is wanted, beside those that there are.
    pub(crate) fn wants(self, keys: &[Vec<Value>]) -> bool {
        match self {
            Keys::Count => false,
            Keys::Location => keys.is_empty(),
            Keys::ReadBack => true,
        }
    }
}

/// A statement with its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statement {
    /// The text: one statement.
    pub sql: String,
    /// The parameters, in the order of their `?`.
    pub params: Vec<Param>,
    /// The relations that are defined in front of it, as its role sees them.
    pub defines: Vec<RelationId>,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// A value known beforehand.
    Value(Value),
    /// The rowids written by the step before, as a JSON array: `[1,2]`.
    Rowids,
    /// The primary keys written by the step before, as a JSON array of arrays: `[["a",1],["b",2]]`.
    PrimaryKeys,
    /// A value that an earlier row of the tree gave.
    Given {
        /// The row's place.
        row: usize,
        /// The value's place among those that it gives.
        at: usize,
    },
}

/// The most parameters of one statement (SQLITE_MAX_VARIABLE_NUMBER, and the limit of Spin).
const MAX_PARAMETERS: usize = 32_766;

/// How the rows of a page are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What they become.
    pub shape: Shape,
    /// The zone of their times; none leaves them as they are stored.
    pub zone: Option<Zone>,
    /// Whether writes return by what a record names their rows.
    pub names_written: bool,
}

/// Compiles a plan; the rows of its page become `output`.
///
/// # Errors
/// 54001 for a request of more parameters than a statement can have.
pub fn compile(
    schema: &SchemaCache,
    authorized: &Authorized,
    output: &Output,
    asker: &Asker<'_>,
) -> Result<Program, Error> {
    let called = match authorized.plan() {
        Plan::Call { call, .. } => call.read.as_ref().map(|read| read.source),
        _ => None,
    };
    let limits = authorized.limits();
    let compiler = Compiler { schema, output, called, asker, target: None };
    let steps = match authorized.plan() {
        Plan::Read { read, count, links } => {
            let mut steps = compiler.read(read, From::Relation, *count)?;
            if let Some(limit) = read.limit.filter(|limit| *links && *limit > 0) {
                steps.push(compiler.last(read, limit)?);
            }
            steps
        }
        Plan::Call { call, count } => compiler.call(call, *count)?,
        Plan::Insert(insert) => compiler.insert(insert, limits)?,
        Plan::InsertTree(tree) => compiler.insert_tree(tree, limits)?,
        Plan::Update(update) => compiler.update(update, limits)?,
        Plan::Delete(delete) => compiler.delete(delete, limits)?,
        Plan::Options(_) => Vec::new(),
    };
    for statement in steps.iter().flat_map(Step::statements) {
        if statement.params.len() > MAX_PARAMETERS {
            return Err(Error::TooComplex(format!("a request may have {MAX_PARAMETERS} values")));
        }
    }
    Ok(Program { steps })
}

/// The relations that are defined in front of a statement in which a role reads this one: itself where the role does not see all of it,
/// and what is held to policies inside it.
///
/// # Errors
/// 42501 where the role may not read it, or what it reads inside.
pub(crate) fn defined(schema: &SchemaCache, id: RelationId) -> Result<Vec<RelationId>, Error> {
    let identity = Identity::default();
    let asker = Asker { identity: &identity, said: None };
    let output = Output { shape: Shape::Objects, zone: None, names_written: false };
    let compiler = Compiler { schema, output: &output, called: None, asker: &asker, target: None };
    let mut sql = Sql::default();
    compiler.source(&mut sql, Source { relation: id, alias: Alias::Request(0) })?;
    Ok(compiler.finish(sql)?.defines)
}

/// What the parts of this stage share.
pub(crate) struct Compiler<'a> {
    pub(crate) schema: &'a SchemaCache,
    /// What the rows of the page become.
    pub(crate) output: &'a Output,
    /// The occurrence whose rows a function gives: they are those of its relation, but without a rowid.
    pub(crate) called: Option<Source>,
    /// Who asks.
    pub(crate) asker: &'a Asker<'a>,
    /// The occurrence of which only the rows count that may be written, and those.
    pub(crate) target: Option<(Source, Rows)>,
}

impl Limits {
    /// What must hold of the rows written.
    pub(crate) fn whole_check(&self) -> &Rows {
        self.check.first().unwrap_or(&Rows::All)
    }
}
