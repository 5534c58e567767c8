//! Writes as SQL. SQLite allows no INSERT, UPDATE or DELETE inside a larger statement, so a write is a short program: write
//! with RETURNING the keys, then read the rows back by their keys; for DELETE the rows are read first.

use std::iter::repeat;

use super::policy::{default_value, of_type};
use super::read::From;
use super::value::Write;
use super::writer::{Sql, THE_ROW};
use super::{Compiler, Keys, Named, Output, Param, Statement, Step};
use crate::authorize::Limits;
use crate::encode::{Shape, keys_json};
use crate::error::Error;
use crate::plan::{
    Alias, Change, Conflict, Delete, Expr, FieldValue, Insert, Precondition, Read, Returning, Source, Update,
};
use crate::policy::{Access, Rows, Told};
use crate::schema::{Relation, RelationId, RelationKind, RowKey};
use crate::value::Value;

/// Parameters of one INSERT of many rows. Rows beyond go into the next statement, whose text is the same and therefore
/// prepared already.
const PARAMETERS_PER_INSERT: usize = 1_000;

impl Compiler<'_> {
    pub(super) fn insert(&self, insert: &Insert, limits: &Limits) -> Result<Vec<Step>, Error> {
        let id = insert.target.relation;
        let relation = self.relation(id)?;
        let check = limits.whole_check();
        let merge = insert.conflict.as_ref().filter(|conflict| conflict.merge);
        // The rows that a merge finds are held to conditions.
        let found = limits.using.first().map(|using| self.own_rows(relation, using)).unwrap_or_default();
        let mut statements = Vec::new();
        let mut proposed = Vec::new();
        for run in &insert.rows {
            let per_statement = (PARAMETERS_PER_INSERT / run.columns.len().max(1)).max(1);
            // Without columns each row is one DEFAULT VALUES.
            let chunk = if run.columns.is_empty() { 1 } else { per_statement };
            for rows in run.values.chunks(chunk) {
                let mut sql = Sql::default();
                sql.raw("INSERT").raw(self.or_abort(id, relation)).raw(" INTO ").name(written(relation));
                sql.raw(if found.is_empty() { "" } else { " AS " });
                sql.raw(if found.is_empty() { "" } else { THE_ROW });
                self.insert_values(&mut sql, relation, &run.columns, rows)?;
                if let Some(conflict) = &insert.conflict {
                    conflict_clause(&mut sql, relation, &run.columns, conflict)?;
                    if conflict.merge {
                        self.where_clause(&mut sql, &found)?;
                    }
                }
                self.returning_clause(&mut sql, relation, &insert.returning, check)?;
                statements.push(self.finish(sql)?);
                if let Some(condition) = check.condition() {
                    let key = merge.map(|conflict| conflict.key.as_slice());
                    proposed.push(self.proposed_insert(id, &run.columns, rows, key, condition)?);
                }
            }
        }
        let mut steps = self.precondition(insert.precondition.as_ref())?;
        if let Some(conflict) = merge {
            steps.push(self.count_existing(insert, conflict)?);
        }
        // What asks other rows must not find the new one among them; and a row that is passed over is not looked at behind.
        let is_before = check.condition().is_some_and(Expr::has_query)
            || insert.conflict.as_ref().is_some_and(|conflict| !conflict.merge);
        let writes = Writes { statements, proposed, is_before };
        steps.extend(self.write_steps(id, writes, &insert.returning, check)?);
        if merge.is_some() && !found.is_empty() {
            let expected = insert.rows.iter().map(|run| run.values.len() as u64).sum();
            let violation = self.violation(id, true)?;
            for step in &mut steps {
                if let Step::Write { all, .. } = step {
                    *all = Some((expected, violation.clone()));
                }
            }
        }
        Ok(steps)
    }

    /// ` OR ABORT`, where a constraint of the table that is written says what becomes of rows in its way (`ON CONFLICT REPLACE`): rows
    /// would go that a policy may not let go.
    pub(super) fn or_abort(&self, id: RelationId, relation: &Relation) -> &'static str {
        let table = match &relation.rewrite {
            None => Some(id),
            Some(rewrite) => self.schema.relations.iter().position(|table| table.name == rewrite.table),
        };
        let ddl = table.and_then(|id| self.schema.definitions.get(&id));
        let has_conflicts = ddl.is_none_or(|sql| sql.to_ascii_lowercase().contains("conflict"));
        if relation.access.is_some() && has_conflicts { " OR ABORT" } else { "" }
    }

    /// How many of the rows to be inserted break a check.
    fn proposed_insert(
        &self,
        id: RelationId,
        columns: &[usize],
        rows: &[Vec<Value>],
        conflict: Option<&[usize]>,
        condition: &Expr,
    ) -> Result<Statement, Error> {
        let relation = self.relation(id)?;
        self.broken_proposals(condition, &|sql| {
            self.proposed_rows(sql, id, columns, rows.len(), conflict, &|sql, row, at| {
                let value = rows.get(row).and_then(|row| row.get(at)).unwrap_or(&Value::Null);
                stored(sql, relation, columns.get(at).copied().unwrap_or_default(), value)
            })
        })
    }

    fn insert_values(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        columns: &[usize],
        rows: &[Vec<Value>],
    ) -> Result<(), Error> {
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
        let mut sql = Sql::default();
        self.rows_of_keys(&mut sql, insert, conflict)?;
        Ok(Step::CountExisting(self.finish(sql)?))
    }

    /// `SELECT count(*)` of the rows that have the key of one to be inserted.
    fn rows_of_keys(&self, sql: &mut Sql, insert: &Insert, conflict: &Conflict) -> Result<(), Error> {
        let mut keys: Vec<Vec<Value>> = Vec::new();
        for run in &insert.rows {
            let places: Option<Vec<usize>> =
                conflict.key.iter().map(|key| run.columns.iter().position(|column| column == key)).collect();
            // A key that has a default is new.
            let Some(places) = places else { continue };
            let key = |row: &Vec<Value>| places.iter().filter_map(|at| row.get(*at).cloned()).collect();
            keys.extend(run.values.iter().map(key));
        }
        let source = Source { relation: insert.target.relation, alias: Alias::Row };
        sql.raw("SELECT count(*) FROM json_each(").text(&keys_json(&keys)).raw(") AS k CROSS JOIN ");
        self.source(sql, source)?;
        sql.raw(" ON ");
        let relation = self.relation(source.relation)?;
        let sent = |sql: &mut Sql, place: usize, value: Write<'_>| match written_by(relation, place) {
            Some(write) => sql.representation(write, value),
            None => value(sql),
        };
        self.same_key(sql, source, &conflict.key, &sent)
    }

    pub(super) fn update(&self, update: &Update, limits: &Limits) -> Result<Vec<Step>, Error> {
        let id = update.target.relation;
        let relation = self.relation(id)?;
        let check = limits.whole_check();
        let mut statements = Vec::with_capacity(update.changes.len());
        let mut proposed = Vec::new();
        for (change, using) in update.changes.iter().zip(limits.using.iter().chain(repeat(&Rows::All))) {
            let mut sql = Sql::default();
            sql.own_by_name = goes_by_name(relation);
            sql.raw("UPDATE").raw(self.or_abort(id, relation)).raw(" ").name(written(relation));
            sql.own_alias();
            sql.raw(" SET ");
            sql.list(", ", &change.assignments, |sql, (place, value)| {
                names(sql, relation, &[*place])?;
                sql.raw(" = ");
                self.assigned(sql, relation, *place, value.as_ref())
            })?;
            self.which_rows(&mut sql, update.target, &change.conditions, using)?;
            self.returning_clause(&mut sql, relation, &update.returning, check)?;
            statements.push(self.finish(sql)?);
            if let Some(condition) = check.condition() {
                proposed.push(self.proposed_update(update.target, change, using, condition)?);
            }
        }
        let mut steps = self.precondition(update.precondition.as_ref())?;
        // What asks other rows must find them as they were.
        let is_before = check.condition().is_some_and(Expr::has_query);
        let writes = Writes { statements, proposed, is_before };
        steps.extend(self.write_steps(id, writes, &update.returning, check)?);
        Ok(steps)
    }

    /// The new value of a column, `None` for its default.
    fn assigned(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        place: usize,
        value: Option<&Value>,
    ) -> Result<(), Error> {
        match (value, relation.columns.get(place)) {
            (Some(value), _) => return stored(sql, relation, place, value),
            (None, Some(column)) => default_value(sql, column),
            (None, None) => drop(sql.raw("NULL")),
        }
        Ok(())
    }

    /// How many of the rows to be updated would break a check.
    fn proposed_update(
        &self,
        target: Source,
        change: &Change,
        using: &Rows,
        condition: &Expr,
    ) -> Result<Statement, Error> {
        let relation = self.relation(target.relation)?;
        self.broken_proposals(condition, &|sql| {
            sql.own_by_name = goes_by_name(relation);
            sql.raw("SELECT ");
            if let RowKey::Rowid(rowid) = relation.row_key {
                self.rowid(sql, target)?;
                sql.raw(" AS ").raw(rowid).raw(", ");
            }
            let stored = relation.columns.iter().enumerate().filter(|(_, column)| column.computed.is_none());
            sql.list(", ", stored, |sql, (place, column)| {
                match change.assignments.iter().find(|(assigned, _)| *assigned == place) {
                    Some((_, value)) => {
                        of_type(sql, column, &|sql| self.assigned(sql, relation, place, value.as_ref()))?
                    }
                    None => drop(sql.occurrence(target.alias, &relation.name).raw(".").name(&column.name)),
                }
                sql.raw(" AS ").name(&column.name);
                Ok(())
            })?;
            sql.raw(" FROM main.").name(&relation.name);
            sql.own_alias();
            let is_embed = |condition: &Expr| matches!(condition, Expr::Exists(_));
            if relation.rewrite.is_none() {
                self.which_rows(sql, target, &change.conditions, using)?;
            } else if self.restriction(relation).is_some() && change.conditions.iter().any(is_embed) {
                let what = "An update by what is embedded, through a view that a policy checks";
                return Err(Error::NotImplemented(what.to_owned()));
            } else {
                self.rows_by_conditions(sql, target, &change.conditions, using)?;
            }
            sql.own_by_name = false;
            Ok(())
        })
    }

    /// The rows of which the client must know: as JSON objects, whatever it wants to be told.
    fn precondition(&self, precondition: Option<&Precondition>) -> Result<Vec<Step>, Error> {
        let Some(Precondition { read, tests }) = precondition else { return Ok(Vec::new()) };
        let output = Output { shape: Shape::Objects, ..self.output.clone() };
        let compiler = Compiler { output: &output, target: None, ..*self };
        match compiler.page(read, From::Relation)? {
            Step::Page { statement, format } => {
                Ok(vec![Step::Precondition { statement, format, tests: tests.clone() }])
            }
            _ => Err(Error::Internal("a page is another step".to_owned())),
        }
    }

    pub(super) fn delete(&self, delete: &Delete, limits: &Limits) -> Result<Vec<Step>, Error> {
        let relation = self.relation(delete.target.relation)?;
        let using = limits.using.first().unwrap_or(&Rows::All);
        let mut sql = Sql::default();
        sql.own_by_name = goes_by_name(relation);
        sql.raw("DELETE FROM ").name(written(relation));
        sql.own_alias();
        self.which_rows(&mut sql, delete.target, &delete.conditions, using)?;
        let mut steps = self.precondition(delete.precondition.as_ref())?;
        if let Returning::Rows(read) = &delete.returning {
            let target = using.condition().map(|_| (read.source, using.clone()));
            steps.push(Compiler { target, ..*self }.page(read, From::Relation)?);
        }
        self.returning_clause(&mut sql, relation, &Returning::Count, &Rows::All)?;
        let mut write = Step::write(vec![self.finish(sql)?], Keys::Count);
        if let Step::Write { named, .. } = &mut write {
            *named = self.named(delete.target.relation)?;
        }
        steps.push(write);
        Ok(steps)
    }

    /// ` WHERE …` of an UPDATE or DELETE: of a simple view the rows of its table that the view shows, and where a role is told of rows
    /// otherwise than they are stored, those that its definition has.
    fn which_rows(
        &self,
        sql: &mut Sql,
        target: Source,
        conditions: &[Expr],
        using: &Rows,
    ) -> Result<(), Error> {
        let relation = self.relation(target.relation)?;
        let is_told = |access: &Access| access.told.iter().all(|told| *told == Told::Plain);
        let is_plain = self.restriction(relation).is_none_or(is_told);
        if relation.rewrite.is_none() && (is_plain || !has_key(relation)) {
            if !is_plain && conditions.iter().any(|condition| matches!(condition, Expr::Exists(_))) {
                let what = "A write by what is embedded, through a view of which a policy masks columns";
                return Err(Error::NotImplemented(what.to_owned()));
            }
            return self.rows_by_conditions(sql, target, conditions, using);
        }
        let compiler = Compiler { target: Some((target, using.clone())), ..*self };
        sql.raw(" WHERE ");
        match (&relation.row_key, &relation.rewrite) {
            (RowKey::Rowid(rowid), None) => {
                sql.raw(THE_ROW).raw(".").raw(rowid).raw(" IN (SELECT ").raw(THE_ROW).raw(".").raw(rowid);
                sql.own_is_visible = true;
            }
            _ => {
                sql.raw("(");
                names(sql, relation, &relation.primary_key)?;
                sql.raw(") IN (SELECT ");
                sql.own_is_visible = true;
                sql.list(", ", &relation.primary_key, |sql, place| compiler.key_column(sql, target, *place))?;
            }
        }
        sql.raw(" FROM ");
        compiler.source(sql, target)?;
        compiler.where_clause(sql, conditions)?;
        sql.own_is_visible = false;
        sql.raw(")");
        Ok(())
    }

    /// ` WHERE …`: the conditions of policies, and others.
    fn rows_by_conditions(
        &self,
        sql: &mut Sql,
        target: Source,
        conditions: &[Expr],
        using: &Rows,
    ) -> Result<(), Error> {
        let mut all = self.own_rows(self.relation(target.relation)?, using);
        all.extend(conditions.iter().cloned());
        self.where_clause(sql, &all)
    }

    fn write_steps(
        &self,
        id: RelationId,
        writes: Writes,
        returning: &Returning,
        check: &Rows,
    ) -> Result<Vec<Step>, Error> {
        let Writes { statements, proposed, is_before } = writes;
        let relation = self.relation(id)?;
        let violation = check.condition().map(|_| self.violation(id, false)).transpose()?;
        let mut steps = Vec::new();
        let has_key = has_key(relation);
        if (is_before || !has_key)
            && let Some(violation) = &violation
        {
            // Nothing is known of what the triggers make of it, so that what it proposes is looked at before.
            let expect = |statement| Step::Expect { statement, violation: violation.clone() };
            steps.extend(proposed.iter().cloned().map(expect));
        }
        let keys = match returning {
            Returning::Written(read) => {
                steps.push(Step::WritePage { statements, format: self.format(read)? });
                return Ok(steps);
            }
            _ if violation.is_some() && has_key => Keys::ReadBack,
            Returning::Count => Keys::Count,
            Returning::Location => Keys::Location,
            Returning::Rows(_) => Keys::ReadBack,
        };
        let located = match returning {
            Returning::Location if keys == Keys::ReadBack => relation.primary_key.len(),
            _ => 0,
        };
        let named = self.named(id)?;
        steps.push(Step::Write { statements, keys, located, proposed, violation, all: None, named });
        if has_key {
            steps.extend(self.check_written(id, check)?);
        }
        if let Returning::Rows(read) = returning {
            steps.push(self.page(read, From::Keys)?);
        }
        Ok(steps)
    }

    /// ` RETURNING …`: the key by which a row is found again, or for a view the row itself.
    fn returning_clause(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        returning: &Returning,
        check: &Rows,
    ) -> Result<(), Error> {
        sql.raw(" RETURNING ");
        let is_checked = check.condition().is_some() && has_key(relation);
        match returning {
            Returning::Location if !relation.primary_key.is_empty() => {
                sql.list(", ", &relation.primary_key, |sql, place| told(sql, relation, *place))?;
                sql.raw(if is_checked { ", " } else { "" });
                if is_checked {
                    row_key(sql, relation)?;
                }
            }
            Returning::Written(read) => return returned_fields(sql, relation, read),
            Returning::Rows(_) => row_key(sql, relation)?,
            Returning::Count | Returning::Location if is_checked => row_key(sql, relation)?,
            Returning::Count | Returning::Location => drop(sql.raw("1")),
        }
        self.naming_columns(sql, relation)
    }

    /// By what a record names the rows of a relation, where one is kept and they have a key.
    pub(super) fn named(&self, id: RelationId) -> Result<Option<Named>, Error> {
        if !self.output.names_written {
            return Ok(None);
        }
        let columns = naming(self.relation(id)?).len();
        Ok((columns > 0).then_some(Named { relation: id, columns }))
    }

    /// The columns of [`Compiler::named`], behind others.
    pub(super) fn naming_columns(&self, sql: &mut Sql, relation: &Relation) -> Result<(), Error> {
        if !self.output.names_written || naming(relation).is_empty() {
            return Ok(());
        }
        sql.raw(", ");
        if relation.primary_key.is_empty() {
            return row_key(sql, relation);
        }
        names(sql, relation, &relation.primary_key)
    }
}

/// The names of the columns by which a record names a row: those of the primary key, or the rowid.
pub(crate) fn naming(relation: &Relation) -> Vec<&str> {
    match &relation.row_key {
        RowKey::Rowid(rowid) if relation.primary_key.is_empty() => vec![rowid],
        _ => relation.column_names(&relation.primary_key).collect(),
    }
}

/// The statements of a write.
struct Writes {
    statements: Vec<Statement>,
    /// For each one that counts the rows which would break a check.
    proposed: Vec<Statement>,
    /// Whether these are looked at before anything is written.
    is_before: bool,
}

/// Whether the target of a write goes by its own name: SQLite loses an alias where INSTEAD OF triggers run.
fn goes_by_name(relation: &Relation) -> bool {
    relation.kind != RelationKind::Table && relation.rewrite.is_none()
}

/// Whether rows that are written can be found again.
fn has_key(relation: &Relation) -> bool {
    relation.row_key != RowKey::None || relation.rewrite.is_some()
}

/// The keys that the step before returned, by which rows are found again.
pub(super) fn written_keys(relation: &Relation) -> Param {
    if matches!(relation.row_key, RowKey::Rowid(_)) { Param::Rowids } else { Param::PrimaryKeys }
}

/// What a row is found by.
pub(super) fn row_key(sql: &mut Sql, relation: &Relation) -> Result<(), Error> {
    match &relation.row_key {
        RowKey::Rowid(rowid) => {
            sql.raw(rowid);
            Ok(())
        }
        RowKey::PrimaryKey | RowKey::None => names(sql, relation, &relation.primary_key),
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
