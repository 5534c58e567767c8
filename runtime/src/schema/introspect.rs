//! Reads a schema from the database, in a fixed number of statements whatever the number of tables.
//!
//! <https://www.sqlite.org/pragma.html#pragfunc>

use std::collections::{BTreeMap, HashMap};

use super::ddl::{InsteadOf, instead_of, named_foreign_keys, raise_messages};
use super::tokens::tokens;
use super::{
    Column, ColumnType, ForeignKey, Relation, RelationId, RelationKind, RowKey, SchemaCache, Warning,
    Writable,
};
use super::{hidden, lineage};
use crate::config::DatabaseFile;
use crate::database::{Database, DbError};
use crate::value::Value;

const VERSION: &str = "PRAGMA schema_version";

/// Every relation of the main schema that is not SQLite's own, our own (the history of migrations) or the inside of a virtual table.
const RELATIONS: &str = "SELECT l.name, l.type, l.wr, l.strict, s.sql \
    FROM pragma_table_list AS l JOIN sqlite_schema AS s ON s.name = l.name AND s.type IN ('table', 'view') \
    WHERE l.schema = 'main' AND l.type IN ('table', 'view', 'virtual') AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    AND l.name NOT LIKE '\\_sqlitrest\\_%' ESCAPE '\\' ORDER BY s.rowid";

/// Ordinary tables only: see [`ONE_RELATION`].
const COLUMNS: &str = "SELECT s.name, x.name, x.type, x.\"notnull\", x.pk, x.hidden, x.dflt_value \
    FROM sqlite_schema AS s, pragma_table_xinfo(s.name) AS x \
    WHERE s.type = 'table' AND s.rootpage > 0 ORDER BY s.rowid, x.cid";

/// A view over something that is gone, or a virtual table whose module is missing, makes its whole statement fail, so
/// these are asked one by one.
const ONE_RELATION: &str = "SELECT ?1, x.name, x.type, x.\"notnull\", x.pk, x.hidden, x.dflt_value FROM pragma_table_xinfo(?1) AS x ORDER BY x.cid";

const FOREIGN_KEYS: &str = "SELECT s.name, f.id, f.\"table\", f.\"from\", f.\"to\" \
    FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f \
    WHERE s.type = 'table' AND s.rootpage > 0 ORDER BY s.rowid, f.id, f.seq";

const UNIQUE_KEYS: &str = "SELECT s.name, i.name, c.name, i.origin = 'pk' \
    FROM sqlite_schema AS s, pragma_index_list(s.name) AS i, pragma_index_info(i.name) AS c \
    WHERE s.type = 'table' AND s.rootpage > 0 AND i.\"unique\" = 1 AND i.partial = 0 ORDER BY s.rowid, i.seq, c.seqno";

const PARTIAL_INDEXES: &str = "SELECT 1 FROM sqlite_schema AS s, pragma_index_list(s.name) AS i \
    WHERE s.type = 'table' AND s.rootpage > 0 AND i.partial = 1 LIMIT 1";

/// INSTEAD OF triggers make views writable; the messages of RAISE are meant for whoever writes.
const TRIGGERS: &str = "SELECT tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'";

/// Reads the schema through `db`; call it inside the transaction that will use it. Relations that match one of `hidden`
/// are left out, but views that show their columns have their keys.
///
/// # Errors
/// What the database says.
pub fn read_schema(db: &mut dyn Database, database: &DatabaseFile) -> Result<SchemaCache, DbError> {
    let DatabaseFile { hidden, attach, .. } = database;
    let mut schema = SchemaCache { version: Some(schema_version(db, attach)?), ..SchemaCache::default() };
    let mut ddl = Vec::new();
    let rows = texts_and_integers(db, RELATIONS, &[])?;
    let is_hidden = |name: &str| hidden.iter().any(|pattern| matches_pattern(pattern, name));
    let has_views = rows.iter().any(|row| match row.as_slice() {
        [Value::Text(name), Value::Text(kind), ..] => kind == "view" && !is_hidden(name),
        _ => false,
    });
    let mut hidden = Vec::new();
    for row in &rows {
        let [Value::Text(name), Value::Text(kind), wr, strict, sql] = row.as_slice() else { continue };
        let kind = match kind.as_str() {
            "view" => RelationKind::View,
            "virtual" => RelationKind::Virtual,
            _ => RelationKind::Table,
        };
        let is_hidden = is_hidden(name);
        // Views show the columns of hidden relations, and policies read them.
        if is_hidden && kind == RelationKind::Virtual {
            continue;
        }
        hidden.push(is_hidden);
        ddl.push(text(sql));
        schema.names.insert(name.clone(), schema.relations.len());
        schema.relations.push(relation(name, kind, *wr == Value::Integer(1), *strict == Value::Integer(1)));
    }
    read_columns(db, &mut schema, &hidden)?;
    for relation in &mut schema.relations {
        settle_keys(relation);
    }
    read_unique_keys(db, &mut schema)?;
    schema.has_partial_indexes = !texts_and_integers(db, PARTIAL_INDEXES, &[])?.is_empty();
    for (relation, sql) in schema.relations.iter_mut().zip(&ddl) {
        relation.key_is_sure = has_sure_key(relation, sql);
    }
    read_foreign_keys(db, &mut schema, &ddl)?;
    read_triggers(db, &mut schema)?;
    if has_views {
        let views = ddl.iter().cloned().enumerate();
        let is_view =
            |id: &RelationId| schema.relations.get(*id).is_some_and(|r| r.kind == RelationKind::View);
        let view_sql: Vec<(RelationId, String)> = views.filter(|(id, _)| is_view(id)).collect();
        lineage::add_view_relationships(&mut schema, &view_sql, &hidden);
    }
    schema.definitions = ddl.into_iter().enumerate().collect();
    hidden::remove(&mut schema, &hidden);
    Ok(schema)
}

/// `PRAGMA schema_version`, which changes with every change of the schema, that of attached databases included.
///
/// # Errors
/// What the database says; this is the first statement to notice a file that is not a database.
pub fn schema_version(db: &mut dyn Database, attached: &[String]) -> Result<i64, DbError> {
    let mut version = 0;
    let mut add = |db: &mut dyn Database, sql: &str| {
        db.rows(sql, &[], &mut |row| {
            if let Some(crate::value::ValueRef::Integer(v)) = row.first() {
                // Of one database it is what SQLite says.
                version = i64::wrapping_add(i64::wrapping_mul(version, 1_000_003), *v);
            }
        })
    };
    add(db, VERSION)?;
    for name in attached {
        add(db, &format!("PRAGMA {}.schema_version", quoted(name)))?;
    }
    Ok(version)
}

/// A name in SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn texts_and_integers(
    db: &mut dyn Database,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Vec<Value>>, DbError> {
    let mut rows = Vec::new();
    db.rows(sql, params, &mut |row| rows.push(row.iter().map(|v| v.to_value()).collect()))?;
    Ok(rows)
}

fn text(value: &Value) -> String {
    if let Value::Text(text) = value { text.clone() } else { String::new() }
}

fn relation(name: &str, kind: RelationKind, without_rowid: bool, strict: bool) -> Relation {
    let is_table = kind == RelationKind::Table;
    Relation {
        name: name.to_owned(),
        kind,
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        computed: Vec::new(),
        full_text: None,
        // Settled when the columns are known.
        row_key: if !is_table || without_rowid { RowKey::None } else { RowKey::Rowid("rowid") },
        strict,
        writable: Writable { insert: is_table, update: is_table, delete: is_table },
        key_is_sure: is_table && without_rowid,
        rewrite: None,
        access: None,
    }
}

fn read_columns(db: &mut dyn Database, schema: &mut SchemaCache, hidden: &[bool]) -> Result<(), DbError> {
    let mut keys: HashMap<RelationId, BTreeMap<i64, usize>> = HashMap::new();
    let mut rows = texts_and_integers(db, COLUMNS, &[])?;
    for (relation, hidden) in schema.relations.iter().zip(hidden) {
        if relation.kind == RelationKind::Table {
            continue;
        }
        let name = &relation.name;
        match texts_and_integers(db, ONE_RELATION, &[Value::Text(name.clone())]) {
            Ok(columns) => rows.extend(columns),
            // It is not the relation that cannot be read: kept so, it would not be there until the schema changes.
            Err(error) if error.is_passing() => return Err(error),
            Err(_) if *hidden => {}
            Err(error) => schema.warnings.push(Warning {
                section: "",
                name: name.clone(),
                message: format!("{name} cannot be read: {}", error.message),
            }),
        }
    }
    for row in &rows {
        let [Value::Text(table), Value::Text(name), declared, not_null, pk, hidden, default] = row.as_slice()
        else {
            continue;
        };
        let Some(id) = schema.names.get(table).copied() else { continue };
        let Some(relation) = schema.relations.get_mut(id) else { continue };
        // 1: a hidden column of a virtual table; 2 and 3: generated, virtual and stored.
        if *hidden == Value::Integer(1) {
            continue;
        }
        if let Value::Integer(place @ 1..) = pk {
            keys.entry(id).or_default().insert(*place, relation.columns.len());
        }
        let declared_type = text(declared);
        // SQLite says BLOB of a view's column whose kind it cannot tell.
        let column_type = match ColumnType::of(&declared_type) {
            ColumnType::Blob if relation.kind == RelationKind::View => ColumnType::Any,
            column_type => column_type,
        };
        relation.columns.push(Column {
            name: name.clone(),
            column_type,
            declared_type,
            not_null: *not_null == Value::Integer(1),
            generated: *hidden != Value::Integer(0),
            is_rowid: false,
            hidden: false,
            masked: false,
            writable: true,
            default: if let Value::Text(default) = default { Some(default.clone()) } else { None },
            computed: None,
            representation: None,
        });
    }
    for (id, key) in keys {
        if let Some(relation) = schema.relations.get_mut(id) {
            relation.primary_key = key.into_values().collect();
        }
    }
    // What cannot be read is as good as not there.
    for relation in schema.relations.iter().filter(|r| r.columns.is_empty()) {
        schema.names.remove(&relation.name);
    }
    Ok(())
}

/// Chooses how rows are found again, and finds the column that is the rowid.
fn settle_keys(relation: &mut Relation) {
    if relation.kind != RelationKind::Table {
        return;
    }
    if relation.row_key == RowKey::None {
        relation.row_key = RowKey::PrimaryKey;
        return;
    }
    let taken = |name: &str| relation.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    relation.row_key = ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !taken(name))
        .map_or(RowKey::PrimaryKey, RowKey::Rowid);
    if relation.row_key == RowKey::PrimaryKey && relation.primary_key.is_empty() {
        relation.row_key = RowKey::None;
    }
    // https://www.sqlite.org/lang_createtable.html#rowid: exactly the word INTEGER, and a key of one column. Where the
    // key has an index of its own (INTEGER PRIMARY KEY DESC), `read_unique_keys` takes this back.
    if let [only] = relation.primary_key.as_slice()
        && let Some(column) = relation.columns.get_mut(*only)
    {
        column.is_rowid = column.declared_type.eq_ignore_ascii_case("integer");
    }
}

/// SQLite takes NULL in the primary key of a table that has rowids, unless it is the rowid
/// (<https://www.sqlite.org/lang_createtable.html#the_primary_key>).
fn has_sure_key(relation: &Relation, sql: &str) -> bool {
    let is_rowid = |place: &usize| relation.columns.get(*place).is_some_and(|c| c.is_rowid);
    // A key may tell apart what its columns, of another collation, do not.
    let tells_apart =
        relation.primary_key.iter().all(is_rowid) || !tokens(sql).iter().any(|t| t.is("collate"));
    let is_full = |place: &usize| relation.columns.get(*place).is_some_and(|c| c.not_null || c.is_rowid);
    // Without rowids SQLite takes no NULL; that was found when the relation was.
    let is_full = relation.key_is_sure || relation.primary_key.iter().all(is_full);
    !relation.primary_key.is_empty() && is_full && tells_apart
}

fn read_unique_keys(db: &mut dyn Database, schema: &mut SchemaCache) -> Result<(), DbError> {
    let mut keys: Vec<(RelationId, String, Option<Vec<usize>>)> = Vec::new();
    for row in texts_and_integers(db, UNIQUE_KEYS, &[])? {
        let [Value::Text(table), Value::Text(index), column, is_primary] = row.as_slice() else { continue };
        let Some(id) = schema.names.get(table).copied() else { continue };
        let Some(relation) = schema.relations.get_mut(id) else { continue };
        if *is_primary == Value::Integer(1) {
            relation.columns.iter_mut().for_each(|c| c.is_rowid = false);
            continue;
        }
        // An index on an expression or on the rowid has no column's name and is no key of columns.
        let place = if let Value::Text(name) = column { relation.column(name) } else { None };
        if keys.last().is_none_or(|(last, name, _)| *last != id || name != index) {
            keys.push((id, index.clone(), Some(Vec::new())));
        }
        if let Some((_, _, places)) = keys.last_mut() {
            *places = places.take().zip(place).map(|(mut places, place)| {
                places.push(place);
                places
            });
        }
    }
    for (id, _, places) in keys {
        if let (Some(relation), Some(places)) = (schema.relations.get_mut(id), places) {
            relation.unique_keys.push(places);
        }
    }
    Ok(())
}

fn read_foreign_keys(db: &mut dyn Database, schema: &mut SchemaCache, ddl: &[String]) -> Result<(), DbError> {
    /// One key's rows: its table, its number there, the table referred to, and the pairs of column names.
    struct Listed {
        table: RelationId,
        number: Value,
        target: String,
        columns: Vec<(String, Option<String>)>,
    }
    let mut listed: Vec<Listed> = Vec::new();
    for row in texts_and_integers(db, FOREIGN_KEYS, &[])? {
        let [Value::Text(table), number, Value::Text(target), Value::Text(from), to] = row.as_slice() else {
            continue;
        };
        let Some(table) = schema.names.get(table).copied() else { continue };
        let pair = (from.clone(), if let Value::Text(to) = to { Some(to.clone()) } else { None });
        match listed.last_mut().filter(|last| last.table == table && last.number == *number) {
            Some(last) => last.columns.push(pair),
            None => listed.push(Listed {
                table,
                number: number.clone(),
                target: target.clone(),
                columns: vec![pair],
            }),
        }
    }
    schema.referrers = vec![Vec::new(); schema.relations.len()];
    // SQLite lists the keys from the last to the first.
    for key in listed.into_iter().rev() {
        if let Some(found) = foreign_key(schema, key.table, &key.target, &key.columns, ddl)
            && let Some(relation) = schema.relations.get_mut(key.table)
            // Written twice, it is one relationship all the same.
            && !relation.foreign_keys.iter().any(|known| known.is_same(&found))
        {
            let place = (key.table, relation.foreign_keys.len());
            if let Some(referrers) = schema.referrers.get_mut(found.target) {
                referrers.push(place);
            }
            relation.foreign_keys.push(found);
        }
    }
    Ok(())
}

/// Resolves the names of a foreign key; `None` where it refers to something hidden or missing, which SQLite allows.
fn foreign_key(
    schema: &SchemaCache,
    table: RelationId,
    target: &str,
    columns: &[(String, Option<String>)],
    ddl: &[String],
) -> Option<ForeignKey> {
    let relation = schema.relations.get(table)?;
    // SQLite ignores the case of names here, as everywhere.
    let target_id = schema.names.get(target).copied().or_else(|| {
        schema
            .relations
            .iter()
            .position(|r| r.name.eq_ignore_ascii_case(target) && schema.names.contains_key(&r.name))
    })?;
    let target = schema.relations.get(target_id)?;
    let place = |r: &Relation, name: &str| r.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
    let own: Vec<usize> = columns.iter().map(|(from, _)| place(relation, from)).collect::<Option<_>>()?;
    // Without columns after REFERENCES the primary key is meant.
    let theirs: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, (_, to))| match to {
            Some(to) => place(target, to),
            None => target.primary_key.get(i).copied(),
        })
        .collect::<Option<_>>()?;
    let names: Vec<&str> = relation.column_names(&own).collect();
    let written = ddl.get(table).map(|sql| named_foreign_keys(sql)).unwrap_or_default();
    let name = written
        .into_iter()
        .find(|key| {
            key.columns.len() == names.len()
                && key.columns.iter().zip(&names).all(|(a, b)| a.eq_ignore_ascii_case(b))
        })
        .map_or_else(|| format!("{}_{}_fkey", relation.name, names.join("_")), |key| key.name);
    let unique = relation.is_unique(&own);
    Some(ForeignKey {
        name,
        columns: own,
        target: target_id,
        target_columns: theirs,
        unique,
        derived: false,
        hidden: false,
    })
}

fn read_triggers(db: &mut dyn Database, schema: &mut SchemaCache) -> Result<(), DbError> {
    for row in texts_and_integers(db, TRIGGERS, &[])? {
        let [Value::Text(table), Value::Text(sql)] = row.as_slice() else { continue };
        schema.raise_messages.extend(raise_messages(sql));
        let Some(relation) = schema.relations.iter_mut().find(|r| r.name.eq_ignore_ascii_case(table)) else {
            continue;
        };
        match instead_of(sql) {
            Some(InsteadOf::Insert) => relation.writable.insert = true,
            Some(InsteadOf::Update) => relation.writable.update = true,
            Some(InsteadOf::Delete) => relation.writable.delete = true,
            None => {}
        }
    }
    Ok(())
}

/// Whether a name matches a pattern in which `*` stands for any text.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ValueRef;

    /// A database of one view, of whose columns it says this.
    struct OneView(&'static str);

    impl Database for OneView {
        fn columns(&mut self, _: &str, _: &[Value]) -> Result<Vec<String>, DbError> {
            Ok(Vec::new())
        }

        fn rows(
            &mut self,
            sql: &str,
            _: &[Value],
            each: &mut dyn FnMut(&[ValueRef<'_>]),
        ) -> Result<(), DbError> {
            match sql {
                RELATIONS => each(&[
                    ValueRef::Text(b"v"),
                    ValueRef::Text(b"view"),
                    ValueRef::Integer(0),
                    ValueRef::Integer(0),
                    ValueRef::Text(b"CREATE VIEW v AS SELECT 1 AS a"),
                ]),
                ONE_RELATION => return Err(DbError { message: self.0.to_owned() }),
                _ => {}
            }
            Ok(())
        }
    }

    #[test]
    fn a_view_is_given_up_for_what_is_wrong_with_it_alone() {
        let read = |message| {
            read_schema(&mut OneView(message), &DatabaseFile::at(String::new()))
                .map(|schema| schema.warnings.len())
        };
        assert_eq!(read("no such table: main.gone"), Ok(1));
        assert_eq!(read("no such column: interrupted"), Ok(1));
        for message in ["interrupted", "database is locked", "disk I/O error", "SQLite error: out of memory"]
        {
            assert_eq!(read(message), Err(DbError { message: message.to_owned() }));
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, matches) in [
            ("private__*", "private__x", true),
            ("private__*", "public", false),
            ("*_fts*", "a_fts_data", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), matches, "{pattern} {name}");
        }
    }
}
