//! What the document is about: the relations and functions that a role may do something with, and what is said of them.

use super::names::{dotted, in_query};
use crate::config::{Config, Mode, Udf};
use crate::function::Returns;
use crate::policy::Grants;
use crate::schema::{Column, Facts, Methods, Relation, RelationId, RelationKind, SchemaCache, facts};

/// All of it.
pub(super) struct Seen<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// The schema as the role knows it.
    pub(super) schema: &'a SchemaCache,
    /// The tables and views, in the order of the schema.
    pub(super) tables: Vec<Table<'a>>,
    /// The functions, in the order of the configuration; those of one name together.
    pub(super) functions: Vec<Named<'a>>,
}

/// A table or view that a role may read or write.
pub(super) struct Table<'a> {
    /// Its place in the schema.
    pub(super) id: RelationId,
    /// The table or view.
    pub(super) relation: &'a Relation,
    /// Whether the role may read it.
    pub(super) reads: bool,
    /// What else it may do.
    pub(super) methods: Methods,
    /// What its CHECK constraints say, by the names of columns in lower case.
    pub(super) facts: Vec<(String, Facts)>,
}

/// The functions of one name.
pub(super) struct Named<'a> {
    /// The name.
    pub(super) name: &'a str,
    /// They differ by their parameters.
    pub(super) all: Vec<Function<'a>>,
}

/// A function that a role may call.
pub(super) struct Function<'a> {
    /// What the configuration says of it.
    pub(super) udf: &'a Udf,
    /// What it returns.
    pub(super) returns: Returns,
    /// The relation whose rows it returns, if it returns rows.
    pub(super) relation: Option<&'a Relation>,
}

/// How a column is given a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// INSERT
    Insert,
    /// UPDATE
    Update,
}

impl<'a> Seen<'a> {
    /// What a role is told of.
    #[inline(never)]
    pub(super) fn of(
        config: &'a Config,
        schema: &'a SchemaCache,
        may_call: &dyn Fn(&Udf) -> bool,
    ) -> Seen<'a> {
        let writes = config.database().1.mode == Mode::ReadWrite;
        let tables = schema.exposed().filter_map(|(id, relation)| table(schema, id, relation, writes));
        let mut functions: Vec<Named<'a>> = Vec::new();
        for (place, udf) in config.udf.iter().enumerate() {
            if !udf.expose || !(udf.readonly || writes) || !may_call(udf) {
                continue;
            }
            let Some(returns) = Returns::parse(&udf.returns) else { continue };
            let relation = schema.functions.get(place).copied().flatten();
            let relation = relation.and_then(|id| schema.relations.get(id));
            let function = Function { udf, returns, relation };
            match functions.iter_mut().find(|named| named.name == udf.name) {
                Some(named) => named.all.push(function),
                None => functions.push(Named { name: &udf.name, all: vec![function] }),
            }
        }
        Seen { config, schema, tables: tables.collect(), functions }
    }

    /// What is said of a relation, or of a function that does not say it itself.
    #[inline(never)]
    pub(super) fn comment(&self, name: &str) -> &'a str {
        self.config.comments.table.get(name).map_or("", String::as_str)
    }

    /// What is said of a column.
    #[inline(never)]
    pub(super) fn column_comment(&self, relation: &str, column: &str) -> &'a str {
        self.config.comments.column.get(&dotted(relation, column)).map_or("", String::as_str)
    }

    /// What is said of the functions of a name.
    #[inline(never)]
    pub(super) fn function_comment(&self, named: &Named<'a>) -> &'a str {
        let said = named.all.iter().map(|one| one.udf.description.as_str()).find(|said| !said.is_empty());
        said.unwrap_or_else(|| self.comment(named.name))
    }

    /// The relation at this place, if its rows may be read.
    #[inline(never)]
    pub(super) fn read(&self, id: RelationId) -> Option<&Table<'a>> {
        self.tables.iter().find(|table| table.id == id && table.reads)
    }

    /// The column that a foreign key of this column alone refers to: its relation and its name. Tables count before views.
    #[inline(never)]
    pub(super) fn referred(&self, table: &Table<'a>, place: usize) -> Option<(&'a str, &'a str)> {
        let mut found = None;
        for key in table.relation.foreign_keys.iter().filter(|key| key.columns == [place] && !key.hidden) {
            let Some(target) = self.read(key.target).map(|table| table.relation) else { continue };
            let column = key.target_columns.first().and_then(|at| target.columns.get(*at));
            let is_table = target.kind != RelationKind::View;
            if let Some(column) = column.filter(|_| is_table || found.is_none()) {
                found = Some((target.name.as_str(), column.name.as_str()));
                if is_table {
                    break;
                }
            }
        }
        found
    }
}

#[inline(never)]
fn table<'a>(
    schema: &'a SchemaCache,
    id: RelationId,
    relation: &'a Relation,
    writes: bool,
) -> Option<Table<'a>> {
    let reads = relation.access.as_ref().is_none_or(|access| access.select.is_some());
    let methods = if writes { relation.methods() } else { Methods::default() };
    let is_path = format!("/{}", relation.name) != crate::batch::PATH;
    if !is_path || !(reads || methods != Methods::default()) {
        return None;
    }
    let definition = schema.definitions.get(&id).filter(|_| relation.kind == RelationKind::Table);
    let facts = definition.map(|sql| facts(sql)).unwrap_or_default();
    Some(Table { id, relation, reads, methods, facts })
}

impl<'a> Table<'a> {
    /// The columns that a role sees, each with its place; computed ones are seen where they are named.
    #[inline(never)]
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, &'a Column)> + use<'a> {
        self.relation.columns.iter().enumerate().filter(|(_, column)| !column.hidden)
    }

    /// The columns that a star means.
    #[inline(never)]
    pub(super) fn starred(&self) -> impl Iterator<Item = (usize, &'a Column)> + use<'a> {
        self.columns().filter(|(_, column)| column.computed.is_none())
    }

    /// The columns that may be given a value.
    #[inline(never)]
    pub(super) fn written(&self, how: Write) -> impl Iterator<Item = (usize, &'a Column)> + use<'a> {
        let relation = self.relation;
        let takes = move |place: usize| match &relation.access {
            None => true,
            Some(access) => {
                let grants: &Grants = if how == Write::Insert { &access.insert } else { &access.update };
                grants.takes(place)
            }
        };
        let columns = relation.columns.iter().enumerate();
        columns.filter(move |(place, column)| !column.generated && column.computed.is_none() && takes(*place))
    }

    /// Whether a role may give a column a value in any way.
    #[inline(never)]
    pub(super) fn is_written(&self, place: usize) -> bool {
        let takes = |how| self.written(how).any(|(own, _)| own == place);
        (self.methods.post && takes(Write::Insert)) || (self.methods.patch && takes(Write::Update))
    }

    /// The primary key and the unique keys that a role sees, as `on_conflict` names them.
    #[inline(never)]
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let keys = std::iter::once(&self.relation.primary_key).chain(&self.relation.unique_keys);
        let is_seen = |place: &usize| self.columns().any(|(own, _)| own == *place);
        let seen = keys.filter(move |key| !key.is_empty() && key.iter().all(is_seen));
        seen.map(|key| {
            let names: Vec<String> = self.relation.column_names(key).map(in_query).collect();
            names.join(",")
        })
    }

    /// Whether a row cannot be inserted without this column.
    #[inline(never)]
    pub(super) fn is_required(column: &Column) -> bool {
        column.not_null && column.default.is_none() && !column.is_rowid
    }

    /// What CHECK constraints say of a column.
    #[inline(never)]
    pub(super) fn facts(&self, column: &Column) -> Option<&Facts> {
        let is_own = |(name, _): &&(String, Facts)| column.name.eq_ignore_ascii_case(name);
        self.facts.iter().find(is_own).map(|(_, facts)| facts)
    }
}

impl Named<'_> {
    /// Whether it is called by GET, too.
    #[inline(never)]
    pub(super) fn by_get(&self) -> bool {
        let takes_body = |udf: &Udf| udf.params.iter().any(|param| param.name == "$");
        let is_volatile = |udf: &Udf| udf.volatility.as_deref() == Some("volatile");
        self.all.iter().any(|one| one.udf.readonly && !is_volatile(one.udf) && !takes_body(one.udf))
    }
}

/// The first line of a comment, and the rest.
#[inline(never)]
pub(super) fn summary(comment: &str) -> (&str, &str) {
    let (first, rest) = comment.split_once('\n').unwrap_or((comment, ""));
    (first, rest.trim_start_matches(['\n', '\r']))
}
