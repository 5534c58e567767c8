//! Inserts of rows with others inside: a statement for each row, which returns what others need of it.

use super::read::From;
use super::write::{names, stored, told, written};
use super::writer::Sql;
use super::{Compiler, Keys, Param, Step, TreeStatement};
use crate::error::Error;
use crate::plan::{InsertTree, Returning, TreeRow, TreeValue};
use crate::schema::RowKey;

impl Compiler<'_> {
    pub(super) fn insert_tree(&self, tree: &InsertTree) -> Result<Vec<Step>, Error> {
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
        for (row, own) in tree.rows.iter().zip(&needed) {
            rows.push(self.tree_row(row, own, &needed, &tree.returning)?);
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
    ) -> Result<TreeStatement, Error> {
        let relation = self.relation(row.relation)?;
        let mut sql = Sql::default();
        sql.raw("INSERT INTO ").name(written(relation));
        if row.values.is_empty() {
            sql.raw(" DEFAULT VALUES");
        } else {
            let columns: Vec<usize> = row.values.iter().map(|(column, _)| *column).collect();
            sql.raw(" (");
            names(&mut sql, relation, &columns)?;
            sql.raw(") VALUES (");
            sql.list(", ", &row.values, |sql, (place, value)| {
                match value {
                    TreeValue::Given(value) => return stored(sql, relation, *place, value),
                    TreeValue::Of { row, column } => {
                        let at =
                            needed.get(*row).and_then(|columns| columns.iter().position(|c| c == column));
                        let at = at.ok_or_else(|| Error::Internal("a row gives too little".to_owned()))?;
                        sql.keys(Param::Given { row: *row, at })
                    }
                };
                Ok(())
            })?;
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
        Ok(TreeStatement { statement: sql.finish(), given: own.len(), is_root: row.is_root })
    }
}
