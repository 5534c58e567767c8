//! Calls of functions as SQL: a query is a table of the page; a write runs by itself, and the rows that it returns are the
//! table.

use super::read::From;
use super::writer::Sql;
use super::{Compiler, Keys, Step};
use crate::error::Error;
use crate::function::Piece;
use crate::plan::Call;
use crate::policy::Security;
use crate::schema::is_write;

impl Compiler<'_> {
    /// Notes what the SQL of a function reads with the rights of who calls it.
    pub(super) fn mention_pieces(
        &self,
        sql: &mut Sql,
        pieces: &[Piece],
        security: Security,
    ) -> Result<(), Error> {
        if security == Security::Invoker {
            // In one, for what one piece names another may go by.
            let texts = pieces.iter().map(|piece| if let Piece::Sql(text) = piece { text } else { " " });
            self.mention(sql, &texts.collect::<Vec<&str>>().concat())?;
        }
        Ok(())
    }

    pub(super) fn call(&self, call: &Call, count: bool) -> Result<Vec<Step>, Error> {
        let writes = matches!(call.sql.first(), Some(Piece::Sql(text)) if is_write(text));
        let statement = || {
            let mut sql = Sql::default();
            // What a write changes cannot be held to policies, so that what it reads is not either.
            let security = if writes { Security::Definer } else { call.security };
            self.mention_pieces(&mut sql, &call.sql, security)?;
            sql.pieces(&call.sql);
            self.finish(sql)
        };
        let Some(read) = &call.read else {
            return Ok(vec![Step::write(vec![statement()?], Keys::Count)]);
        };
        if !writes {
            return self.read(read, From::Call(&call.sql, call.security), count);
        }
        let mut steps = vec![Step::write(vec![statement()?], Keys::ReadBack)];
        steps.push(self.page(read, From::Returned)?);
        Ok(steps)
    }
}
