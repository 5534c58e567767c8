//! What the configuration adds to a schema: types of view expressions, computed columns and relationships, and the relations
//! that functions return.

use std::collections::HashSet;

use super::introspect::quoted;
use super::{
    Column, ColumnType, Computed, Relation, RelationId, RelationKind, Representation, RowKey, SchemaCache,
    Warning, Writable, read_schema,
};
use crate::config::{Config, DataRepresentation, Udf};
use crate::database::{Database, DbError};
use crate::function::{Returns, returning_names};
use crate::value::Value;

/// The schema, as the configuration completes it. Call it inside the transaction that will use it.
///
/// # Errors
/// What the database says.
pub fn read_configured(config: &Config, db: &mut dyn Database) -> Result<SchemaCache, DbError> {
    let database = config.database().1;
    let mut schema = read_schema(db, database)?;
    for name in &database.attach {
        add_attached(name, &mut schema, db)?;
    }
    add_configured(config, &mut schema, db)?;
    Ok(schema)
}

/// Adds what the configuration says; what does not fit the schema becomes a warning.
///
/// # Errors
/// What the database says where it is not of the configuration.
fn add_configured(config: &Config, schema: &mut SchemaCache, db: &mut dyn Database) -> Result<(), DbError> {
    for (table, types) in &config.column_types {
        for (name, declared) in types {
            match column_mut(schema, table, name) {
                Some(column) => {
                    column.column_type = ColumnType::of(declared);
                    column.declared_type.clone_from(declared);
                }
                None => {
                    let what = format!("column_types.{table}: there is no column {name}");
                    schema.warn("column_types", table, what);
                }
            }
        }
    }
    for computed in &config.computed_column {
        match relation_mut(schema, &computed.table) {
            Some(relation) => {
                let column = column(&computed.name, &computed.declared);
                relation.columns.push(Column { computed: Some(computed.sql.clone()), ..column });
            }
            None => {
                let what = format!("computed_column {}: there is no {}", computed.name, computed.table);
                schema.warn("computed_column", &computed.name, what);
            }
        }
    }
    for computed in &config.computed_relationship {
        let Some(target) = target(config, schema, &computed.target, db)? else {
            let (name, target) = (&computed.name, &computed.target);
            let what = format!("computed_relationship {name}: there is no {target}");
            schema.warn("computed_relationship", name, what);
            continue;
        };
        let (name, single, sql) = (computed.name.clone(), computed.single, computed.sql.clone());
        match relation_mut(schema, &computed.table) {
            Some(relation) => relation.computed.push(Computed { name, target, single, sql }),
            None => {
                let what = format!("computed_relationship {name}: there is no {}", computed.table);
                schema.warn("computed_relationship", &name, what);
            }
        }
    }
    let mut warnings = Vec::new();
    for DataRepresentation { table, column, declared, read, write, .. } in &config.data_representation {
        let column_type = ColumnType::of(declared);
        match column_mut(schema, table, column) {
            Some(found) => {
                let (read, write) = (read.clone(), write.clone());
                let reads = read.as_ref().map(|sql| (sql.replace("{value}", &quoted(column)), quoted(table)));
                let writes =
                    write.as_ref().map(|sql| (sql.replace("{value}", "NULL"), "(SELECT 1)".to_owned()));
                for (sql, from) in reads.into_iter().chain(writes) {
                    match db.columns(&format!("SELECT ({sql}) FROM {from} LIMIT 0"), &[]) {
                        Ok(_) => {}
                        Err(error) if error.is_passing() => return Err(error),
                        Err(DbError { message }) => {
                            let what = format!("data_representation of {table}.{column}: {message}");
                            warnings.push(Warning {
                                section: "data_representation",
                                name: column.clone(),
                                message: what,
                            });
                        }
                    }
                }
                found.representation = Some(Representation { column_type, read, write });
            }
            None => {
                let what = format!("data_representation: there is no {table}.{column}");
                schema.warn("data_representation", column, what);
            }
        }
    }
    schema.warnings.append(&mut warnings);
    for (table, index) in &config.fts {
        match relation_mut(schema, table) {
            Some(relation) => relation.full_text = Some(index.clone()),
            None => schema.warn("fts", table, format!("fts.{table}: there is no such relation")),
        }
    }
    add_comments(config, schema);
    schema.functions = config.udf.iter().map(|udf| function(udf, schema, db)).collect::<Result<_, _>>()?;
    Ok(())
}

/// Comments are for documents, which look them up by name: only that there is such a name is seen to.
fn add_comments(config: &Config, schema: &mut SchemaCache) {
    for name in config.comments.table.keys() {
        if !schema.names.contains_key(name) && !config.udf.iter().any(|udf| udf.name == *name) {
            let what = format!("comments.table: there is no table, view or function {name}");
            schema.warn("comments", "table", what);
        }
    }
    for name in config.comments.column.keys() {
        let found = name.rsplit_once('.').and_then(|(table, name)| column_mut(schema, table, name));
        if found.is_none() {
            let what = format!("comments.column: there is no column {name}; write TABLE.COLUMN");
            schema.warn("comments", "column", what);
        }
    }
}

/// Adds the names of an attached database.
fn add_attached(name: &str, schema: &mut SchemaCache, db: &mut dyn Database) -> Result<(), DbError> {
    let own: HashSet<String> = schema.relations.iter().map(|own| own.name.to_lowercase()).collect();
    let names = format!("SELECT name FROM {}.sqlite_schema WHERE type IN ('table', 'view')", quoted(name));
    db.rows(&names, &[], &mut |row| {
        if let Some(Value::Text(name)) = row.first().map(|value| value.to_value()) {
            let name = name.to_lowercase();
            if !own.contains(&name) {
                schema.attached.insert(name);
            }
        }
    })
}

/// What a computed relationship leads to: an exposed relation, or one of an attached database (`NAME.relation`).
fn target(
    config: &Config,
    schema: &mut SchemaCache,
    name: &str,
    db: &mut dyn Database,
) -> Result<Option<RelationId>, DbError> {
    if let Some(id) = schema.names.get(name) {
        return Ok(Some(*id));
    }
    let attach = &config.database().1.attach;
    let Some((database, table)) = name.split_once('.').filter(|(of, _)| attach.iter().any(|name| name == of))
    else {
        return Ok(None);
    };
    let mut columns = Vec::new();
    let about = "SELECT name, type FROM pragma_table_xinfo(?1, ?2) WHERE hidden <> 1 ORDER BY cid";
    let params = [Value::Text(table.to_owned()), Value::Text(database.to_owned())];
    db.rows(about, &params, &mut |row| {
        if let (Some(Value::Text(name)), Some(Value::Text(declared))) =
            (row.first().map(|name| name.to_value()), row.get(1).map(|declared| declared.to_value()))
        {
            columns.push(column(&name, &declared));
        }
    })?;
    if columns.is_empty() {
        return Ok(None);
    }
    schema.relations.push(returned(name, columns));
    schema.referrers.push(Vec::new());
    Ok(Some(schema.relations.len() - 1))
}

fn relation_mut<'s>(schema: &'s mut SchemaCache, name: &str) -> Option<&'s mut Relation> {
    let id = schema.names.get(name).copied()?;
    schema.relations.get_mut(id)
}

fn column_mut<'s>(schema: &'s mut SchemaCache, table: &str, name: &str) -> Option<&'s mut Column> {
    relation_mut(schema, table)?.columns.iter_mut().find(|column| column.name == name)
}

fn column(name: &str, declared: &str) -> Column {
    Column {
        name: name.to_owned(),
        declared_type: declared.to_owned(),
        column_type: ColumnType::of(declared),
        not_null: false,
        default: None,
        generated: false,
        computed: None,
        representation: None,
        is_rowid: false,
        hidden: false,
        masked: false,
        writable: true,
    }
}

/// The relation whose rows a function returns; `None` where there is none, or its columns cannot be known.
fn function(
    udf: &Udf,
    schema: &mut SchemaCache,
    db: &mut dyn Database,
) -> Result<Option<RelationId>, DbError> {
    let columns = match Returns::parse(&udf.returns) {
        None | Some(Returns::Void) => return Ok(None),
        Some(Returns::Relation { name, .. }) => {
            let id = schema.names.get(&name).copied();
            if id.is_none() {
                let what = format!("function {}: there is no relation {name}", udf.name);
                schema.warn("udf", &udf.name, what);
            }
            return Ok(id);
        }
        Some(Returns::Value { declared, .. }) => vec![column(&udf.name, &declared)],
        Some(Returns::Record { .. }) => match record_columns(udf, db) {
            Ok(names) => names.iter().map(|name| record_column(udf, name)).collect(),
            Err(error) if error.is_passing() => return Err(error),
            Err(DbError { message }) => {
                schema.warn("udf", &udf.name, format!("function {}: {message}", udf.name));
                return Ok(None);
            }
        },
    };
    schema.relations.push(returned(&udf.name, columns));
    Ok(Some(schema.relations.len() - 1))
}

/// What a function returns.
fn returned(name: &str, columns: Vec<Column>) -> Relation {
    Relation {
        name: name.to_owned(),
        kind: RelationKind::Function,
        columns,
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        computed: Vec::new(),
        full_text: None,
        row_key: RowKey::None,
        strict: false,
        writable: Writable::default(),
        key_is_sure: false,
        rewrite: None,
        access: None,
    }
}

#[cfg(test)]
impl Relation {
    /// A table of columns without types.
    pub(crate) fn of_columns(name: &str, columns: &[&str]) -> Relation {
        let columns = columns.iter().map(|name| column(name, "")).collect();
        Relation { kind: RelationKind::Table, ..returned(name, columns) }
    }
}

fn record_column(udf: &Udf, name: &str) -> Column {
    column(name, udf.column_types.get(name).map_or("", String::as_str))
}

/// The names of a record's columns: SQLite is asked for those of a query; those of a write stand in its RETURNING.
fn record_columns(udf: &Udf, db: &mut dyn Database) -> Result<Vec<String>, DbError> {
    if is_write(&udf.sql) {
        let message = "its RETURNING must list names or aliases, which are the columns of its record";
        return returning_names(&udf.sql).ok_or_else(|| DbError { message: message.to_owned() });
    }
    let names: Vec<(&str, Value)> = udf
        .params
        .iter()
        .map(|p| (if p.name == "$" { "body" } else { p.name.as_str() }, Value::Null))
        .collect();
    let mut sql = String::from("SELECT * FROM (");
    let mut params = Vec::new();
    for piece in crate::function::pieces(&udf.sql, &names, None) {
        match piece {
            crate::function::Piece::Sql(text) => sql.push_str(&text),
            crate::function::Piece::Value(value) => {
                sql.push('?');
                params.push(value);
            }
        }
    }
    sql.push_str("\n) LIMIT 0");
    db.columns(&sql, &params)
}

/// Whether a statement is an INSERT, UPDATE or DELETE.
pub fn is_write(sql: &str) -> bool {
    let word: String = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    matches!(word.to_ascii_uppercase().as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE")
}
