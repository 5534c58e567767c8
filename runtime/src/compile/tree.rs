//! Inserts of rows with others inside: a statement for each row, which returns what others need of it.

use std::iter::repeat;

use super::read::From;
use super::write::{names, row_key, stored, told, written};
use super::writer::Sql;
use super::{Compiler, Keys, Param, Step, TreeCheck, TreeStatement};
use crate::authorize::Limits;
use crate::error::Error;
use crate::plan::{InsertTree, Returning, TreeRow, TreeValue};
use crate::policy::Rows;
use crate::schema::RowKey;

impl Compiler<'_> {
    pub(super) fn insert_tree(&self, tree: &InsertTree, limits: &Limits) -> Result<Vec<Step>, Error> {
        let mut needed: Vec<Vec<usize>> = vec![Vec::new(); tree.rows.len()];
        for (_, value) in tree.rows.iter().flat_map(|row| &row.values) {
            if let TreeValue::Of { row, column } = value
                && let Some(columns) = needed.get_mut(*row)
                && !columns.contains(column)
            {
                columns.push(*column);
            }
        }
        let mut rows = Vec::with_capacity(tree.rows.len());
        let checks = limits.check.iter().chain(repeat(&Rows::All));
        for ((row, own), check) in tree.rows.iter().zip(&needed).zip(checks) {
            rows.push(self.tree_row(row, own, &needed, &tree.returning, check)?);
        }
        let keys = match tree.returning {
            Returning::Location => Keys::Location,
            Returning::Rows(_) => Keys::ReadBack,
            Returning::Count | Returning::Written(_) => Keys::Count,
        };
        let mut steps = vec![Step::WriteTree { rows, keys }];
        if let Returning::Rows(read) = &tree.returning {
            steps.push(self.page(read, From::Keys)?);
        }
        Ok(steps)
    }

    fn tree_row(
        &self,
        row: &TreeRow,
        own: &[usize],
        needed: &[Vec<usize>],
        returning: &Returning,
        check: &Rows,
    ) -> Result<TreeStatement, Error> {
        let relation = self.relation(row.relation)?;
        let value = |sql: &mut Sql, place: usize, value: &TreeValue| match value {
            TreeValue::Given(value) => stored(sql, relation, place, value),
            TreeValue::Of { row, column } => {
                let at = needed.get(*row).and_then(|columns| columns.iter().position(|c| c == column));
                let at = at.ok_or_else(|| Error::Internal("a row gives too little".to_owned()))?;
                sql.keys(Param::Given { row: *row, at });
                Ok(())
            }
        };
        let mut sql = Sql::default();
        sql.raw("INSERT").raw(self.or_abort(row.relation, relation)).raw(" INTO ").name(written(relation));
        if row.values.is_empty() {
            sql.raw(" DEFAULT VALUES");
        } else {
            let columns: Vec<usize> = row.values.iter().map(|(column, _)| *column).collect();
            sql.raw(" (");
            names(&mut sql, relation, &columns)?;
            sql.raw(") VALUES (");
            sql.list(", ", &row.values, |sql, (place, given)| value(sql, *place, given))?;
            sql.raw(")");
        }
        sql.raw(" RETURNING ");
        names(&mut sql, relation, own)?;
        sql.raw(if own.is_empty() { "" } else { ", " });
        match (row.is_root, returning, &relation.row_key) {
            (true, Returning::Location, _) if !relation.primary_key.is_empty() => {
                sql.list(", ", &relation.primary_key, |sql, place| told(sql, relation, *place))?;
            }
            (true, Returning::Rows(_), RowKey::Rowid(rowid)) => drop(sql.raw(rowid)),
            (true, Returning::Rows(_), _) => names(&mut sql, relation, &relation.primary_key)?,
            _ => drop(sql.raw("1")),
        }
        let check = match check.condition() {
            None => None,
            Some(condition) => {
                sql.raw(", ");
                row_key(&mut sql, relation)?;
                let columns: Vec<usize> = row.values.iter().map(|(column, _)| *column).collect();
                let proposed = self.broken_proposals(condition, &|sql| {
                    self.proposed_rows(sql, row.relation, &columns, 1, None, &|sql, _, at| match row
                        .values
                        .get(at)
                    {
                        Some((place, given)) => value(sql, *place, given),
                        None => Ok(()),
                    })
                })?;
                let key =
                    if matches!(relation.row_key, RowKey::Rowid(_)) { 1 } else { relation.primary_key.len() };
                let statement = self.broken_check(row.relation, condition)?;
                Some(TreeCheck {
                    key,
                    statement,
                    proposed,
                    is_before: condition.has_query(),
                    violation: self.violation(row.relation, false)?,
                })
            }
        };
        self.naming_columns(&mut sql, relation)?;
        let named = self.named(row.relation)?;
        Ok(TreeStatement {
            statement: self.finish(sql)?,
            given: own.len(),
            is_root: row.is_root,
            check,
            named,
        })
    }
}
