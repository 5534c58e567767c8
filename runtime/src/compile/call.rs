//! Calls of functions as SQL: a query is a table of the page; a write runs by itself, and the rows that it returns are the
//! table.

use super::read::From;
use super::writer::Sql;
use super::{Compiler, Keys, Step};
use crate::error::Error;
use crate::function::Piece;
use crate::plan::Call;
use crate::schema::is_write;

impl Compiler<'_> {
    pub(super) fn call(&self, call: &Call, count: bool) -> Result<Vec<Step>, Error> {
        let statement = || {
            let mut sql = Sql::default();
            sql.pieces(&call.sql);
            sql.finish()
        };
        let Some(read) = &call.read else {
            return Ok(vec![Step::Write { statements: vec![statement()], keys: Keys::Count }]);
        };
        let writes = matches!(call.sql.first(), Some(Piece::Sql(text)) if is_write(text));
        if !writes {
            return self.read(read, From::Call(&call.sql), count);
        }
        let mut steps = vec![Step::Write { statements: vec![statement()], keys: Keys::ReadBack }];
        steps.push(self.page(read, From::Returned)?);
        Ok(steps)
    }
}
