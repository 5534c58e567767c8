//! What policies add to statements. A relation of which a role does not see everything is read under another name, which a
//! WITH in front of the statement defines: so each occurrence of it carries its policy, and what is not in the definition
//! cannot be named. SQL of the configuration names relations by their own names, which are then defined likewise.

use super::value::Write;
use super::write::written_keys;
use super::writer::{Sql, THE_ROW, Use};
use super::{Compiler, Statement, Step, Violation};
use crate::error::Error;
use crate::plan::{Alias, Asked, ColumnRef, Expr, Query, Source, SqlExpr, TableRows};
use crate::policy::{Access, Rows, Told, is_withheld, names_schema};
use crate::schema::{Column, ColumnType, Relation, RelationId, RowKey, names_in};
use crate::value::Value;

/// What a rowid may be called.
const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

impl Compiler<'_> {
    /// What policies say of a relation of which this role does not see everything.
    pub(super) fn restriction<'r>(&self, relation: &'r Relation) -> Option<&'r Access> {
        relation.access.as_deref().filter(|access| !access.sees_all())
    }

    /// The finished statement, with the definitions of what it uses.
    pub(super) fn finish(&self, sql: Sql) -> Result<Statement, Error> {
        if sql.uses.is_empty() {
            return Ok(sql.finish());
        }
        let mut uses: Vec<Use> = Vec::new();
        let (computed, mut next): (Vec<Use>, Vec<Use>) =
            sql.uses.iter().cloned().partition(|used| matches!(used, Use::Computed(..)));
        let mut definitions = Sql::default();
        while !next.is_empty() {
            for used in std::mem::take(&mut next) {
                let is_known = uses.iter().any(|known| known.defines_same(&used));
                if is_known {
                    continue;
                }
                definitions.raw(if uses.is_empty() { "WITH " } else { ", " });
                self.define(&mut definitions, &used, &computed)?;
                uses.push(used);
                next.append(&mut definitions.uses);
            }
        }
        let defines = uses.iter().map(Use::relation).collect();
        Ok(Statement { defines, ..definitions.in_front_of(sql) })
    }

    /// `"visible posts" AS NOT MATERIALIZED (SELECT … FROM main."posts" AS p WHERE …)`
    fn define(&self, sql: &mut Sql, used: &Use, computed: &[Use]) -> Result<(), Error> {
        let relation = self.relation(used.relation())?;
        let Some(access) = relation.access.as_deref() else {
            return Err(Error::Internal(format!("{} is defined without a policy", relation.name)));
        };
        match used {
            Use::Visible(_) => sql.name(&visible(relation)),
            Use::Target(..) => sql.name(&target(relation)),
            Use::Mentioned { .. } | Use::Computed(..) => sql.name(&relation.name),
        };
        sql.raw(" AS NOT MATERIALIZED (SELECT ");
        match used {
            Use::Mentioned { rowid, .. } => {
                self.all_columns(sql, used.relation(), relation, access, *rowid)?
            }
            Use::Visible(_) | Use::Target(..) | Use::Computed(..) => {
                self.visible_columns(sql, used.relation(), relation, access, computed)?
            }
        }
        sql.raw(" FROM ");
        match self.schema.definitions.get(&used.relation()).filter(|_| access.invoker) {
            Some(query) => self.query_of_view(sql, relation, query)?,
            None => drop(sql.raw("main.").name(&relation.name)),
        }
        sql.raw(" AS ").raw(THE_ROW);
        let extra = if let Use::Target(_, rows) = used { rows.condition() } else { None };
        let conditions = match &access.select {
            // Named in a function, but refused: it has no rows.
            None => {
                sql.raw(" WHERE 0)");
                return Ok(());
            }
            Some(rows) => rows.condition().into_iter().chain(extra),
        };
        let conditions: Vec<Expr> = conditions.cloned().collect();
        self.where_clause(sql, &conditions)?;
        sql.raw(")");
        Ok(())
    }

    /// The columns that a role sees, the computed ones among them, and what rows are found by.
    fn visible_columns(
        &self,
        sql: &mut Sql,
        id: RelationId,
        relation: &Relation,
        access: &Access,
        computed: &[Use],
    ) -> Result<(), Error> {
        let mut separator = "";
        if let RowKey::Rowid(rowid) = relation.row_key {
            sql.raw(THE_ROW).raw(".").raw(rowid).raw(" AS ").raw(rowid);
            separator = ", ";
        }
        let row = Source { relation: id, alias: Alias::Row };
        for (place, (column, told)) in relation.columns.iter().zip(&access.told).enumerate() {
            let own = ColumnRef { source: row, column: place };
            if relation.primary_key.contains(&place) && is_withheld(relation, place) {
                sql.raw(separator);
                self.column(sql, own)?;
                sql.raw(" AS ").name(&raw_key(place));
                separator = ", ";
            }
            // Computed columns cost something, and may read what this role may not.
            let is_needed = column.computed.is_none() || computed.contains(&Use::Computed(id, place));
            if column.hidden || !is_needed {
                continue;
            }
            sql.raw(separator);
            self.of_seen_row(sql, relation, place, access, &|sql| match told {
                Told::As(expr) => self.expr(sql, expr),
                Told::Plain | Told::Hidden => self.column(sql, own),
            })?;
            sql.raw(" AS ").name(&column.name);
            separator = ", ";
        }
        sql.raw(if separator.is_empty() { "NULL" } else { "" });
        Ok(())
    }

    /// What is told of a column, of rows that are seen alone where SQL of the configuration makes it: that may fail, and SQLite
    /// may evaluate a filter before it asks whether the row is seen.
    pub(super) fn of_seen_row(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        place: usize,
        access: &Access,
        value: Write<'_>,
    ) -> Result<(), Error> {
        let is_made = |column: &Column| column.computed.is_some();
        let is_masked = matches!(access.told.get(place), Some(Told::As(_)));
        let may_fail = relation.columns.get(place).is_some_and(is_made)
            || is_masked && relation.columns.iter().any(is_made);
        let Some(condition) = access.select.as_ref().and_then(Rows::condition).filter(|_| may_fail) else {
            return value(sql);
        };
        sql.raw("CASE WHEN ");
        self.operand(sql, condition)?;
        sql.raw(" THEN ");
        value(sql)?;
        sql.raw(" END");
        Ok(())
    }

    /// All columns that the relation has, those that a role does not see as NULL: SQL of the configuration counts on them.
    fn all_columns(
        &self,
        sql: &mut Sql,
        id: RelationId,
        relation: &Relation,
        access: &Access,
        rowid: bool,
    ) -> Result<(), Error> {
        let row = Source { relation: id, alias: Alias::Row };
        let stored = relation.columns.iter().zip(&access.told).enumerate();
        let stored = stored.filter(|(_, (column, _))| column.computed.is_none());
        sql.list(", ", stored, |sql, (place, (column, told))| {
            match told {
                _ if column.hidden => drop(sql.raw("NULL")),
                Told::As(expr) => self.expr(sql, expr)?,
                Told::Plain | Told::Hidden => self.column(sql, ColumnRef { source: row, column: place })?,
            }
            sql.raw(" AS ").name(&column.name);
            Ok(())
        })?;
        if rowid && matches!(relation.row_key, RowKey::Rowid(_)) {
            let is_free = |name: &&str| !relation.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
            for name in ROWIDS.into_iter().filter(|name| is_free(name)) {
                sql.raw(", ").raw(THE_ROW).raw(".").raw(name).raw(" AS ").raw(name);
            }
        }
        Ok(())
    }

    /// The rows of a view, in the query of which the tables have the names that policies define.
    fn query_of_view(&self, sql: &mut Sql, relation: &Relation, query: &str) -> Result<(), Error> {
        let body = crate::schema::view_query(query)
            .ok_or_else(|| Error::Internal(format!("the query of {} cannot be read", relation.name)))?;
        if names_schema(body) {
            let what = "names tables with their schema, so that its policies cannot hold inside it";
            return Err(Error::Internal(format!("view {} {what}", relation.name)));
        }
        let rows = format!("rows of {}", relation.name);
        sql.raw("(WITH ").name(&rows).raw(" (");
        let stored: Vec<usize> = (0..relation.columns.len())
            .filter(|place| relation.columns.get(*place).is_some_and(|c| c.computed.is_none()))
            .collect();
        sql.list(", ", relation.column_names(&stored), |sql, name| {
            sql.name(name);
            Ok(())
        })?;
        sql.raw(") AS (").definition(body).raw("\n) SELECT * FROM ").name(&rows).raw(")");
        self.mention(sql, body)
    }

    /// Notes which relations SQL of the configuration names, so that they are defined as this role sees them.
    ///
    /// # Errors
    /// 42501 where it reads one that the role may not.
    pub(super) fn mention(&self, sql: &mut Sql, text: &str) -> Result<(), Error> {
        if self.schema.restricted.is_empty() {
            return Ok(());
        }
        let rowid = names_in(text).any(|name| ROWIDS.iter().any(|known| name.is(known)));
        for name in names_in(text) {
            let Some(id) = self.schema.restricted.get(name.folded()).copied() else { continue };
            let relation = self.relation(id)?;
            if name.is_qualified_by("main") {
                let what = "is named with its schema, so that its policies cannot hold";
                return Err(Error::Internal(format!("{} {what}", relation.name)));
            }
            if name.is_read_from && relation.access.as_ref().is_some_and(|access| access.select.is_none()) {
                return Err(denied(relation));
            }
            sql.uses.push(Use::Mentioned { relation: id, rowid });
        }
        Ok(())
    }

    /// SQL of the configuration in which `{row}` stands for an occurrence.
    pub(super) fn template(&self, sql: &mut Sql, text: &str, alias: Alias, name: &str) -> Result<(), Error> {
        for (i, part) in text.split("{row}").enumerate() {
            if i > 0 {
                sql.occurrence(alias, name);
            }
            if part.contains('(') {
                sql.pieces(&crate::function::pieces(part, &[], Some(&|asked| self.asker.value(asked))));
            } else {
                sql.definition(part);
            }
        }
        self.mention(sql, text)
    }

    /// The conditions of a row that is written under its relation's own name: that it is seen, and that it may be written.
    pub(super) fn own_rows(&self, relation: &Relation, using: &Rows) -> Vec<Expr> {
        let seen = relation.access.as_ref().and_then(|access| access.select.as_ref());
        let seen = seen.filter(|seen| *seen != using);
        seen.into_iter().chain([using]).filter_map(Rows::condition).cloned().collect()
    }

    /// After a write: every row written must be there and such as a policy's check wants it.
    pub(super) fn check_written(&self, id: RelationId, check: &Rows) -> Result<Option<Step>, Error> {
        let Some(condition) = check.condition() else { return Ok(None) };
        let statement = self.broken_check(id, condition)?;
        Ok(Some(Step::Expect { statement, violation: self.violation(id, false)? }))
    }

    /// How many of the rows with the keys of the step before break a check.
    pub(super) fn broken_check(&self, id: RelationId, condition: &Expr) -> Result<Statement, Error> {
        let relation = self.relation(id)?;
        let row = Source { relation: id, alias: Alias::Row };
        let mut sql = Sql::default();
        sql.raw("SELECT count(*) FROM json_each(").keys(written_keys(relation));
        sql.raw(") AS k WHERE NOT EXISTS (SELECT 1 FROM ");
        self.source(&mut sql, row)?;
        sql.raw(" WHERE ");
        self.has_key(&mut sql, row)?;
        sql.raw(" AND ");
        self.expr(&mut sql, condition)?;
        sql.raw(")");
        self.finish(sql)
    }

    pub(super) fn violation(&self, id: RelationId, using: bool) -> Result<Violation, Error> {
        Ok(Violation { relation: self.relation(id)?.name.clone(), using })
    }

    /// How many of the rows that a write proposes break a check: `rows` writes a table of them, which has their columns.
    pub(super) fn broken_proposals(
        &self,
        condition: &Expr,
        rows: &dyn Fn(&mut Sql) -> Result<(), Error>,
    ) -> Result<Statement, Error> {
        let mut sql = Sql::default();
        sql.raw("SELECT count(*) FROM (");
        rows(&mut sql)?;
        sql.raw(") AS ").raw(THE_ROW).raw(" WHERE (");
        self.expr(&mut sql, condition)?;
        sql.raw(") IS NOT TRUE");
        self.finish(sql)
    }

    /// New rows as a table: `SELECT CAST(column1 AS INTEGER) AS "id", … FROM (VALUES (…), (…))`. Of rows with the key of one that is
    /// there, what is not given is the other's.
    pub(super) fn proposed_rows(
        &self,
        sql: &mut Sql,
        id: RelationId,
        given: &[usize],
        rows: usize,
        conflict: Option<&[usize]>,
        value: &dyn Fn(&mut Sql, usize, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let relation = self.relation(id)?;
        let key: Option<Vec<(usize, usize)>> = conflict.and_then(|key| {
            key.iter().map(|place| Some((*place, given.iter().position(|known| known == place)?))).collect()
        });
        sql.raw("SELECT ");
        let stored = relation.columns.iter().enumerate().filter(|(_, column)| column.computed.is_none());
        sql.list(", ", stored, |sql, (place, column)| {
            let at = given.iter().position(|known| *known == place);
            of_type(sql, column, &|sql| {
                match (at, &key) {
                    (Some(at), _) => {
                        sql.raw("column").number(at + 1);
                    }
                    (None, Some(_)) => {
                        sql.raw("CASE WHEN \"there\".is_there THEN \"there\".")
                            .name(&column.name)
                            .raw(" ELSE ");
                        default_value(sql, column);
                        sql.raw(" END");
                    }
                    (None, None) => default_value(sql, column),
                }
                Ok(())
            })?;
            sql.raw(" AS ").name(&column.name);
            Ok(())
        })?;
        if let RowKey::Rowid(rowid) = relation.row_key {
            // The number that SQLite gives is not known before, unless it is given.
            let own = given.iter().position(|place| relation.columns.get(*place).is_some_and(|c| c.is_rowid));
            match own {
                Some(at) => sql.raw(", column").number(at + 1),
                None => sql.raw(", NULL"),
            };
            sql.raw(" AS ").raw(rowid);
        }
        sql.raw(" FROM (VALUES ");
        sql.list(", ", 0..rows, |sql, row| {
            sql.raw("(");
            sql.list(", ", 0..given.len(), |sql, at| value(sql, row, at))?;
            sql.raw(if given.is_empty() { "NULL)" } else { ")" });
            Ok(())
        })?;
        sql.raw(")");
        if let Some(key) = key {
            sql.raw(" LEFT JOIN (SELECT 1 AS is_there, * FROM main.").name(&relation.name);
            sql.raw(") AS \"there\" ON ");
            sql.list(" AND ", key, |sql, (place, at)| {
                let name = relation.columns.get(place).map_or("", |column| column.name.as_str());
                sql.raw("\"there\".").name(name).raw(" = column").number(at + 1);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// What the asker says.
    pub(super) fn asked(&self, sql: &mut Sql, asked: &Asked) {
        self.compared(sql, self.asker.value(asked));
    }

    /// An operand, in parentheses where it is more than one thing.
    pub(super) fn operand(&self, sql: &mut Sql, expr: &Expr) -> Result<(), Error> {
        let is_one = matches!(
            expr,
            Expr::Column(_)
                | Expr::Rowid(_)
                | Expr::Value(_)
                | Expr::Asked(_)
                | Expr::Represented(..)
                | Expr::CanonicalJson(_)
                | Expr::JsonScalar(_)
        ) || matches!(
            expr,
            Expr::Sql(
                SqlExpr::Literal(_)
                    | SqlExpr::Function { .. }
                    | SqlExpr::Cast(..)
                    | SqlExpr::Query(_)
                    | SqlExpr::Case { .. }
                    | SqlExpr::EachColumn(..)
            )
        );
        if is_one {
            return self.expr(sql, expr);
        }
        sql.raw("(");
        self.expr(sql, expr)?;
        sql.raw(")");
        Ok(())
    }

    pub(super) fn sql_expr(&self, sql: &mut Sql, expr: &SqlExpr) -> Result<(), Error> {
        match expr {
            SqlExpr::Literal(value) => {
                sql.literal(value);
            }
            SqlExpr::Function { name, distinct, arguments } => {
                sql.raw(name).raw(if *distinct { "(DISTINCT " } else { "(" });
                sql.raw(if arguments.is_empty() { "*" } else { "" });
                sql.list(", ", arguments, |sql, argument| self.expr(sql, argument))?;
                sql.raw(")");
            }
            SqlExpr::Binary(operator, left, right) => {
                self.operand(sql, left)?;
                sql.raw(" ").raw(operator).raw(" ");
                self.operand(sql, right)?;
            }
            SqlExpr::Unary(operator, operand) => {
                sql.raw(operator).raw(" ");
                self.operand(sql, operand)?;
            }
            SqlExpr::Cast(operand, name) => {
                sql.raw("CAST(");
                self.expr(sql, operand)?;
                sql.raw(" AS ").raw(name).raw(")");
            }
            SqlExpr::Collate(operand, name) => {
                self.operand(sql, operand)?;
                sql.raw(" COLLATE ").raw(name);
            }
            SqlExpr::Case { operand, branches, otherwise } => {
                sql.raw("CASE");
                if let Some(operand) = operand {
                    sql.raw(" ");
                    self.operand(sql, operand)?;
                }
                for (condition, value) in branches {
                    sql.raw(" WHEN ");
                    self.operand(sql, condition)?;
                    sql.raw(" THEN ");
                    self.operand(sql, value)?;
                }
                if let Some(otherwise) = otherwise {
                    sql.raw(" ELSE ");
                    self.operand(sql, otherwise)?;
                }
                sql.raw(" END");
            }
            SqlExpr::In(operand, values) => {
                self.operand(sql, operand)?;
                sql.raw(" IN (");
                sql.list(", ", values, |sql, value| self.expr(sql, value))?;
                sql.raw(")");
            }
            SqlExpr::InQuery(operand, query) => {
                self.operand(sql, operand)?;
                sql.raw(" IN ");
                self.query(sql, query)?;
            }
            SqlExpr::Exists(query) => {
                sql.raw("EXISTS ");
                self.query(sql, query)?;
            }
            SqlExpr::Query(query) => self.query(sql, query)?,
            SqlExpr::EachColumn(alias, name) => {
                sql.occurrence(Alias::Policy(*alias), "").raw(".").raw(name);
            }
        }
        Ok(())
    }

    /// `(SELECT … FROM … WHERE …)`
    fn query(&self, sql: &mut Sql, query: &Query) -> Result<(), Error> {
        sql.raw(if query.distinct { "(SELECT DISTINCT " } else { "(SELECT " });
        sql.list(", ", &query.fields, |sql, field| self.expr(sql, field))?;
        for (i, table) in query.from.iter().enumerate() {
            sql.raw(match (i, table.left) {
                (0, _) => " FROM ",
                (_, false) => " JOIN ",
                (_, true) => " LEFT JOIN ",
            });
            match &table.rows {
                TableRows::Relation(source) => self.source(sql, *source)?,
                TableRows::Each { function, json, alias } => {
                    // The function fails on what is no JSON.
                    sql.raw(function).raw("(CASE WHEN json_valid(");
                    self.expr(sql, json)?;
                    sql.raw(", 9) THEN ");
                    self.operand(sql, json)?;
                    sql.raw(" END) AS ").occurrence(Alias::Policy(*alias), "");
                }
            }
            if let Some(on) = &table.on {
                sql.raw(" ON ");
                self.expr(sql, on)?;
            }
        }
        self.where_clause(sql, &query.conditions)?;
        if !query.group_by.is_empty() {
            sql.raw(" GROUP BY ");
            sql.list(", ", &query.group_by, |sql, key| self.expr(sql, key))?;
        }
        if let Some(having) = &query.having {
            sql.raw(" HAVING ");
            self.expr(sql, having)?;
        }
        if !query.order_by.is_empty() {
            sql.raw(" ORDER BY ");
            sql.list(", ", &query.order_by, |sql, (value, descending)| {
                self.expr(sql, value)?;
                sql.raw(if *descending { " DESC" } else { "" });
                Ok(())
            })?;
        }
        if let Some(limit) = &query.limit {
            sql.raw(" LIMIT ");
            self.expr(sql, limit)?;
        }
        sql.raw(")");
        Ok(())
    }
}

/// What a column is where nothing is given.
pub(super) fn default_value(sql: &mut Sql, column: &Column) {
    match &column.default {
        Some(default) if !column.generated => drop(sql.raw("(").default_text(default).raw(")")),
        _ => drop(sql.raw("NULL")),
    }
}

/// A value with the affinity of a column, as comparisons know it.
pub(super) fn of_type(sql: &mut Sql, column: &Column, value: Write<'_>) -> Result<(), Error> {
    let name = match column.column_type {
        ColumnType::Integer => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Numeric => "NUMERIC",
        ColumnType::Text => "TEXT",
        _ => return value(sql),
    };
    sql.raw("CAST(");
    value(sql)?;
    sql.raw(" AS ").raw(name).raw(")");
    Ok(())
}

/// The name under which a role's rows of a relation are read.
fn visible(relation: &Relation) -> String {
    format!("visible {}", relation.name)
}

/// The name under which those are read that a write is about.
fn target(relation: &Relation) -> String {
    format!("target {}", relation.name)
}

/// The name of a key's column that a role is not told.
pub(super) fn raw_key(place: usize) -> String {
    format!("key {place}")
}

/// 42501 for a relation.
pub(crate) fn denied(relation: &Relation) -> Error {
    match relation.access.as_ref().and_then(|access| access.broken.as_ref()) {
        Some(reason) => Error::Internal(reason.clone()),
        None => Error::Forbidden {
            message: format!("permission denied for {} {}", relation.kind.word(), relation.name),
            anonymous: false,
        },
    }
}

impl Sql {
    /// The name of what a role sees of a relation.
    pub(super) fn visible(&mut self, relation: &Relation, id: RelationId) -> &mut Self {
        self.uses.push(Use::Visible(id));
        self.name(&visible(relation))
    }

    /// The name of the rows of it that a write is about.
    pub(super) fn target(&mut self, relation: &Relation, id: RelationId, rows: &Rows) -> &mut Self {
        self.uses.push(Use::Target(id, rows.clone()));
        self.name(&target(relation))
    }

    /// The default of a column. A bare word in its place is a text to SQLite, and would be a name in an expression.
    pub(super) fn default_text(&mut self, sql: &str) -> &mut Self {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let known = ["null", "true", "false", "current_time", "current_date", "current_timestamp"];
        let is_name = sql.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && sql.chars().all(is_word)
            && !known.iter().any(|word| word.eq_ignore_ascii_case(sql));
        match is_name || sql.starts_with('"') && sql.ends_with('"') && sql.len() > 1 {
            true => self.definition(&format!("'{}'", sql.trim_matches('"').replace('\'', "''"))),
            false => self.definition(sql),
        }
    }

    /// A value that stands in the text of a policy.
    fn literal(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Null => self.raw("NULL"),
            Value::Integer(integer) => self.definition(&integer.to_string()),
            Value::Real(real) => self.definition(&format!("{real:?}")),
            Value::Text(text) => self.definition(&format!("'{}'", text.replace('\'', "''"))),
            Value::Blob(bytes) => self.value(Value::Blob(bytes.clone())),
        }
    }
}

/// Whether a statement begins with a WITH of its own, and what stands behind the word.
pub(super) fn after_with(text: &str) -> Option<(bool, &str)> {
    let word = |text: &str, word: &str| {
        let rest = text.trim_start();
        let (head, tail) = rest.split_at_checked(word.len())?;
        (head.eq_ignore_ascii_case(word) && tail.starts_with(char::is_whitespace))
            .then(|| rest.len() - tail.len() + (text.len() - rest.len()))
    };
    let after = text.get(word(text, "WITH")?..)?;
    match word(after, "RECURSIVE") {
        Some(end) => Some((true, after.get(end..)?)),
        None => Some((false, after)),
    }
}
