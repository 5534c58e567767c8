//! Writes as SQL. SQLite allows no INSERT, UPDATE or DELETE inside a larger statement, so a write is a short program: write
//! with RETURNING the keys, then read the rows back by their keys; for DELETE the rows are read first.

use super::read::From;
use super::value::Write;
use super::writer::Sql;
use super::{Compiler, Keys, Output, Statement, Step};
use crate::encode::{Shape, keys_json};
use crate::error::Error;
use crate::plan::{
    ColumnRef, Conflict, Delete, Expr, FieldValue, Insert, Precondition, Read, Returning, Source, Update,
};
use crate::schema::{Relation, RowKey};
use crate::value::Value;

/// Parameters of one INSERT of many rows. Rows beyond go into the next statement, whose text is the same and therefore
/// prepared already.
const PARAMETERS_PER_INSERT: usize = 1_000;

impl Compiler<'_> {
    pub(super) fn insert(&self, insert: &Insert) -> Result<Vec<Step>, Error> {
        let relation = self.relation(insert.target.relation)?;
        let mut statements = Vec::new();
        for run in &insert.rows {
            let per_statement = (PARAMETERS_PER_INSERT / run.columns.len().max(1)).max(1);
            // Without columns each row is one DEFAULT VALUES.
            let chunk = if run.columns.is_empty() { 1 } else { per_statement };
            for rows in run.values.chunks(chunk) {
                let mut sql = Sql::default();
                self.insert_values(&mut sql, relation, &run.columns, rows)?;
                if let Some(conflict) = &insert.conflict {
                    conflict_clause(&mut sql, relation, &run.columns, conflict)?;
                }
                self.returning_clause(&mut sql, relation, &insert.returning)?;
                statements.push(sql.finish());
            }
        }
        let mut steps = self.precondition(insert.precondition.as_ref())?;
        if let Some(conflict) = insert.conflict.as_ref().filter(|conflict| conflict.merge) {
            steps.push(self.count_existing(insert, conflict)?);
        }
        steps.extend(self.write_steps(statements, &insert.returning)?);
        Ok(steps)
    }

    fn insert_values(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        columns: &[usize],
        rows: &[Vec<Value>],
    ) -> Result<(), Error> {
        sql.raw("INSERT INTO ").name(written(relation));
        if columns.is_empty() {
            sql.raw(" DEFAULT VALUES");
            return Ok(());
        }
        sql.raw(" (");
        names(sql, relation, columns)?;
        sql.raw(") VALUES ");
        sql.list(", ", rows, |sql, row| {
            sql.raw("(");
            sql.list(", ", columns.iter().zip(row), |sql, (place, value)| {
                stored(sql, relation, *place, value)
            })?;
            sql.raw(")");
            Ok(())
        })
    }

    /// How many of the rows to be inserted have a key that is there already: what an upsert answers goes by it.
    fn count_existing(&self, insert: &Insert, conflict: &Conflict) -> Result<Step, Error> {
        let mut keys: Vec<Vec<Value>> = Vec::new();
        for run in &insert.rows {
            let places: Option<Vec<usize>> =
                conflict.key.iter().map(|key| run.columns.iter().position(|column| column == key)).collect();
            // A key that has a default is new.
            let Some(places) = places else { continue };
            let key = |row: &Vec<Value>| places.iter().filter_map(|at| row.get(*at).cloned()).collect();
            keys.extend(run.values.iter().map(key));
        }
        let source = Source { relation: insert.target.relation, alias: Some(0) };
        let mut sql = Sql::default();
        sql.raw("SELECT count(*) FROM json_each(").text(&keys_json(&keys)).raw(") AS k CROSS JOIN ");
        self.source(&mut sql, source)?;
        sql.raw(" ON ");
        let relation = self.relation(source.relation)?;
        let sent = |sql: &mut Sql, place: usize, value: Write<'_>| match written_by(relation, place) {
            Some(write) => sql.representation(write, value),
            None => value(sql),
        };
        self.same_key(&mut sql, source, &conflict.key, &sent)?;
        Ok(Step::CountExisting(sql.finish()))
    }

    pub(super) fn update(&self, update: &Update) -> Result<Vec<Step>, Error> {
        let relation = self.relation(update.target.relation)?;
        let mut statements = Vec::with_capacity(update.changes.len());
        for change in &update.changes {
            let mut sql = Sql::default();
            sql.raw("UPDATE ").name(written(relation)).raw(" SET ");
            sql.list(", ", &change.assignments, |sql, (place, value)| {
                let column = self.column_of(update.target.relation, *place)?;
                names(sql, relation, &[*place])?;
                sql.raw(" = ");
                match (value, &column.default) {
                    (Some(value), _) => return stored(sql, relation, *place, value),
                    (None, Some(default)) => sql.raw("(").definition(default).raw(")"),
                    (None, None) => sql.raw("NULL"),
                };
                Ok(())
            })?;
            self.which_rows(&mut sql, update.target, &change.conditions)?;
            self.returning_clause(&mut sql, relation, &update.returning)?;
            statements.push(sql.finish());
        }
        let mut steps = self.precondition(update.precondition.as_ref())?;
        steps.extend(self.write_steps(statements, &update.returning)?);
        Ok(steps)
    }

    /// The rows of which the client must know: as JSON objects, whatever it wants to be told.
    fn precondition(&self, precondition: Option<&Precondition>) -> Result<Vec<Step>, Error> {
        let Some(Precondition { read, tests }) = precondition else { return Ok(Vec::new()) };
        let output = Output { shape: Shape::Objects, zone: self.output.zone.clone() };
        let compiler = Compiler { output: &output, ..*self };
        match compiler.page(read, From::Relation)? {
            Step::Page { statement, format } => {
                Ok(vec![Step::Precondition { statement, format, tests: tests.clone() }])
            }
            _ => Err(Error::Internal("a page is another step".to_owned())),
        }
    }

    pub(super) fn delete(&self, delete: &Delete) -> Result<Vec<Step>, Error> {
        let relation = self.relation(delete.target.relation)?;
        let mut sql = Sql::default();
        sql.raw("DELETE FROM ").name(written(relation));
        self.which_rows(&mut sql, delete.target, &delete.conditions)?;
        let mut steps = self.precondition(delete.precondition.as_ref())?;
        if let Returning::Rows(read) = &delete.returning {
            steps.push(self.page(read, From::Relation)?);
        }
        self.returning_clause(&mut sql, relation, &Returning::Count)?;
        steps.push(Step::Write { statements: vec![sql.finish()], keys: Keys::Count });
        Ok(steps)
    }

    /// ` WHERE …` of an UPDATE or DELETE: of a simple view, the rows of its table that the view shows.
    fn which_rows(&self, sql: &mut Sql, target: Source, conditions: &[Expr]) -> Result<(), Error> {
        let relation = self.relation(target.relation)?;
        if relation.rewrite.is_none() {
            return self.where_clause(sql, conditions);
        }
        sql.raw(" WHERE (");
        names(sql, relation, &relation.primary_key)?;
        sql.raw(") IN (SELECT ");
        sql.list(", ", &relation.primary_key, |sql, place| {
            self.column(sql, ColumnRef { source: target, column: *place })
        })?;
        sql.raw(" FROM ");
        self.source(sql, target)?;
        self.where_clause(sql, conditions)?;
        sql.raw(")");
        Ok(())
    }

    fn write_steps(&self, statements: Vec<Statement>, returning: &Returning) -> Result<Vec<Step>, Error> {
        Ok(match returning {
            Returning::Count => vec![Step::Write { statements, keys: Keys::Count }],
            Returning::Location => vec![Step::Write { statements, keys: Keys::Location }],
            Returning::Written(read) => {
                vec![Step::WritePage { statements, format: self.format(read)? }]
            }
            Returning::Rows(read) => {
                vec![Step::Write { statements, keys: Keys::ReadBack }, self.page(read, From::Keys)?]
            }
        })
    }

    /// ` RETURNING …`: the key by which a row is found again, or for a view the row itself.
    fn returning_clause(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        returning: &Returning,
    ) -> Result<(), Error> {
        sql.raw(" RETURNING ");
        match (returning, &relation.row_key) {
            (Returning::Location, _) if !relation.primary_key.is_empty() => {
                sql.list(", ", &relation.primary_key, |sql, place| told(sql, relation, *place))
            }
            (Returning::Count | Returning::Location, _) => {
                sql.raw("1");
                Ok(())
            }
            (Returning::Rows(_), RowKey::Rowid(rowid)) => {
                sql.raw(rowid);
                Ok(())
            }
            (Returning::Rows(_), RowKey::PrimaryKey | RowKey::None) => {
                names(sql, relation, &relation.primary_key)
            }
            (Returning::Written(read), _) => returned_fields(sql, relation, read),
        }
    }
}

/// The fields of a view's row as RETURNING gives them: columns by their bare names.
fn returned_fields(sql: &mut Sql, relation: &Relation, read: &Read) -> Result<(), Error> {
    let places = read.fields.iter().filter_map(|field| match &field.value {
        FieldValue::Column(value) => Some((value.column.column, field)),
        _ => None,
    });
    if read.fields.is_empty() {
        sql.raw("NULL");
    }
    sql.list(", ", places, |sql, (place, field)| {
        told(sql, relation, place)?;
        sql.raw(" AS ").name(&field.name);
        Ok(())
    })
}

/// ` ON CONFLICT (…) DO …`
fn conflict_clause(
    sql: &mut Sql,
    relation: &Relation,
    columns: &[usize],
    conflict: &Conflict,
) -> Result<(), Error> {
    sql.raw(" ON CONFLICT (");
    names(sql, relation, &conflict.key)?;
    sql.raw(")");
    if !conflict.merge {
        sql.raw(" DO NOTHING");
        return Ok(());
    }
    // Where there is nothing but the key it is set to itself, so that the row is returned.
    let others: Vec<usize> = columns.iter().copied().filter(|place| !conflict.key.contains(place)).collect();
    let set = if others.is_empty() { &conflict.key } else { &others };
    sql.raw(" DO UPDATE SET ");
    sql.list(", ", set, |sql, place| {
        names(sql, relation, &[*place])?;
        sql.raw(" = excluded.");
        names(sql, relation, &[*place])
    })
}

/// The table that is written.
pub(super) fn written(relation: &Relation) -> &str {
    relation.rewrite.as_ref().map_or(&relation.name, |rewrite| &rewrite.table)
}

/// The names of columns in the table that is written.
pub(super) fn names(sql: &mut Sql, relation: &Relation, places: &[usize]) -> Result<(), Error> {
    sql.list(", ", places, |sql, place| {
        let own = relation.columns.get(*place).map(|column| &column.name);
        let name = match &relation.rewrite {
            Some(rewrite) => rewrite.columns.get(*place).and_then(Option::as_ref),
            None => own,
        };
        let name =
            name.ok_or_else(|| Error::Internal(format!("no column {place} to write in {}", relation.name)))?;
        sql.name(name);
        Ok(())
    })
}

/// The SQL that makes what is sent for a column what is stored.
fn written_by(relation: &Relation, place: usize) -> Option<&str> {
    relation.representation(place)?.write.as_deref()
}

/// A column of the table that is written, as it is told.
pub(super) fn told(sql: &mut Sql, relation: &Relation, place: usize) -> Result<(), Error> {
    match relation.representation(place).and_then(|representation| representation.read.as_deref()) {
        Some(read) => sql.representation(read, &|sql| names(sql, relation, &[place])),
        None => names(sql, relation, &[place]),
    }
}

/// A value as it is stored, made of the one that is sent.
pub(super) fn stored(sql: &mut Sql, relation: &Relation, place: usize, value: &Value) -> Result<(), Error> {
    match written_by(relation, place) {
        Some(write) => sql.representation(write, &|sql| {
            sql.value(value.clone());
            Ok(())
        }),
        None => {
            sql.value(value.clone());
            Ok(())
        }
    }
}
