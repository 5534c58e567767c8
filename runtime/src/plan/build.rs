//! Resolves the names of a request against the schema: the second stage.

use super::order::{grouped, is_spread};
use super::value::{as_told, bare_count, field_value, selected, whole_column};
use super::{Alias, Expr, Field, FieldValue, OrderBy, Plan, Read, Source};
use crate::api_request::{Action, ApiRequest};
use crate::compile::denied;
use crate::config::Config;
use crate::error::Error;
use crate::filter::{Condition, Connective, Filter, Is, Test};
use crate::policy::Access;
use crate::query_params::QueryParams;
use crate::schema::{Relation, RelationId, SchemaCache};
use crate::select::{Aggregate, Embed as SelectEmbed, Join, SelectItem};

/// Resolves a request.
///
/// # Errors
/// A name that the schema does not have, a literal that does not fit its column, a relationship that is missing or
/// ambiguous, a write that the relation does not take.
pub fn build(config: &Config, schema: &SchemaCache, request: &ApiRequest) -> Result<Plan, Error> {
    let is_read = matches!(request.action, Action::Read { .. } | Action::Options);
    if request.params.after.is_some() && !is_read {
        // Passed over, it would let a write touch what was not meant.
        return Err(Error::NotImplemented(
            "A page by key of a write, or of what a function gives".to_owned(),
        ));
    }
    if matches!(request.action, Action::Describe(_)) {
        return Err(Error::NotImplemented("The plan of the description of the API".to_owned()));
    }
    if let Action::Call(call) = &request.action {
        if !call.is_safe && !request.conditional.is_none() {
            return Err(Error::NotImplemented("If-Match or If-None-Match on a POST".to_owned()));
        }
        let mut build = Build { config, schema, params: &request.params, aliases: 0, next_is_given: false };
        let mut call = build.call(&call.call)?;
        if let Some(read) = &mut call.read {
            if let Some(range) = request.range {
                intersect(read, range.first, range.last);
            }
            build.cap(read);
        }
        return Ok(Plan::Call { call, count: request.preferences.count.is_some() });
    }
    let (id, relation) = schema.relation(&request.relation).ok_or_else(|| Error::NoRelation {
        name: request.relation.clone(),
        near: schema.near(&request.relation),
    })?;
    let mut build = Build { config, schema, params: &request.params, aliases: 0, next_is_given: false };
    if matches!(request.action, Action::Insert(_)) && !request.conditional.is_none() {
        return Err(Error::NotImplemented("If-Match or If-None-Match on a POST".to_owned()));
    }
    match &request.action {
        Action::Read { .. } => {
            let mut read = build.root(id)?;
            if let Some(range) = request.range {
                intersect(&mut read, range.first, range.last);
            }
            build.cap(&mut read);
            let links = request.preferences.links;
            build.begin_after(&mut read, links)?;
            Ok(Plan::Read { read, count: request.preferences.count.is_some(), links })
        }
        Action::Insert(payload) if build.has_rows_inside(relation, id, payload) => {
            build.insert_tree(id, payload, request).map(Plan::InsertTree)
        }
        Action::Insert(payload) => build.insert(id, payload, request).map(Plan::Insert),
        Action::Put(payload) => build.put(id, payload, request).map(Plan::Insert),
        Action::Update(payload) => build.update(id, payload, request).map(Plan::Update),
        Action::Delete => build.delete(id, request).map(Plan::Delete),
        Action::Options => Ok(Plan::Options(relation.methods())),
        Action::Call(_) | Action::Batch(_) | Action::Describe(_) => {
            Err(Error::Internal("calls are planned above, operations one by one".to_owned()))
        }
    }
}

/// How many occurrences of relations one request may have, those of `!inner` conditions included.
const MAX_OCCURRENCES: usize = 2_500;

/// What is known while a request is resolved.
pub(super) struct Build<'a> {
    pub(super) config: &'a Config,
    pub(super) schema: &'a SchemaCache,
    pub(super) params: &'a QueryParams,
    aliases: usize,
    /// Whether the rows of the next occurrence are given by SQL of the configuration.
    pub(super) next_is_given: bool,
}

/// The embeds around the one that is resolved: what each is called.
pub(super) type Stack<'s> = Vec<&'s SelectEmbed>;

/// One level of the tree of embeds, while it is resolved.
pub(super) struct Level<'a, 's> {
    pub(super) source: Source,
    pub(super) relation: &'a Relation,
    pub(super) select: &'s [SelectItem],
}

impl<'a> Build<'a> {
    pub(super) fn source(&mut self, relation: RelationId) -> Source {
        self.aliases += 1;
        let number = self.aliases - 1;
        let is_given = std::mem::take(&mut self.next_is_given);
        Source { relation, alias: if is_given { Alias::Given(number) } else { Alias::Request(number) } }
    }

    /// A request may be of so many occurrences of relations.
    fn check_size(&self) -> Result<(), Error> {
        if self.aliases > MAX_OCCURRENCES {
            return Err(Error::TooComplex(format!("a request may embed {MAX_OCCURRENCES} times")));
        }
        Ok(())
    }

    pub(super) fn relation(&self, id: RelationId) -> Result<&'a Relation, Error> {
        self.schema
            .relations
            .get(id)
            .ok_or_else(|| Error::Internal(format!("no relation {id} in the schema cache")))
    }

    /// Refuses a relation of which nothing may be seen, before anything is said of its columns.
    pub(super) fn seen(&self, id: RelationId) -> Result<(), Error> {
        let relation = self.relation(id)?;
        match &relation.access {
            Some(access) if access.select.is_none() => Err(denied(relation)),
            _ => Ok(()),
        }
    }

    /// The same of one that may not be written, which the role has this leave for.
    pub(super) fn may(&self, id: RelationId, leave: fn(&Access) -> bool) -> Result<(), Error> {
        let relation = self.relation(id)?;
        match &relation.access {
            Some(access) if !leave(access) => Err(denied(relation)),
            _ => Ok(()),
        }
    }

    /// The read that the query string describes.
    pub(super) fn root(&mut self, id: RelationId) -> Result<Read, Error> {
        let params = self.params;
        let select = params.select.as_deref().unwrap_or(&[SelectItem::Star]);
        self.check_paths(select)?;
        self.read(id, select, &mut Vec::new())
    }

    /// The read of one relation as the parameters for `stack` describe it.
    pub(super) fn read<'s>(
        &mut self,
        id: RelationId,
        select: &'s [SelectItem],
        stack: &mut Stack<'s>,
    ) -> Result<Read, Error>
    where
        'a: 's,
    {
        self.seen(id)?;
        let source = self.source(id);
        self.check_size()?;
        self.read_from(source, select, stack)
    }

    /// As [`Build::read`], of an occurrence that there is already.
    pub(super) fn read_from<'s>(
        &mut self,
        source: Source,
        select: &'s [SelectItem],
        stack: &mut Stack<'s>,
    ) -> Result<Read, Error>
    where
        'a: 's,
    {
        let level = Level { source, relation: self.relation(source.relation)?, select };
        let params = self.params;
        let mut read = Read {
            fields: Vec::with_capacity(select.len()),
            limit: self.last(&params.limits, stack).copied(),
            offset: self.last(&params.offsets, stack).copied().unwrap_or(0),
            ..Read::of(source)
        };
        for item in select {
            match item {
                SelectItem::Distinct => read.distinct = true,
                SelectItem::Star => read.fields.extend(star(&level)),
                SelectItem::Column(column) => {
                    let count = bare_count(level.relation, column);
                    // Alone in its list it takes no leave, as in PostgREST.
                    if count.is_none() || select.len() > 1 {
                        let aggregate = count.as_ref().unwrap_or(column).aggregate;
                        aggregate.map(|aggregate| self.allowed(aggregate)).transpose()?;
                    }
                    read.fields.push(selected(source, level.relation, count.as_ref().unwrap_or(column))?);
                }
                SelectItem::Embed(embed) => self.embed(&mut read, embed, stack)?,
            }
        }
        self.own_conditions(&level, stack, &mut read.conditions)?;
        for term in self.last(&params.order, stack).into_iter().flatten() {
            let value = match &term.embed {
                None => self.order_value(&level, term, &read)?,
                Some(name) => {
                    let value = self.related_order(&level, name, term, stack)?;
                    let is_single = !read.is_aggregated() && !read.distinct;
                    grouped(&read, is_single || is_spread(&read, &value), name)?;
                    value
                }
            };
            read.order.push(OrderBy { value, direction: term.direction, nulls: term.nulls });
        }
        Ok(read)
    }

    /// An aggregate, if the configuration allows them.
    pub(super) fn allowed(&self, aggregate: Aggregate) -> Result<Aggregate, Error> {
        if self.config.api.aggregates { Ok(aggregate) } else { Err(Error::Aggregates) }
    }

    /// The conditions of one level: that its `!inner` embeds have rows, then its filters.
    pub(super) fn conditions_of<'s>(
        &mut self,
        id: RelationId,
        select: &'s [SelectItem],
        stack: &mut Stack<'s>,
    ) -> Result<(Source, Vec<Expr>), Error>
    where
        'a: 's,
    {
        self.seen(id)?;
        let source = self.source(id);
        self.check_size()?;
        let level = Level { source, relation: self.relation(id)?, select };
        let mut conditions = Vec::new();
        for item in select {
            if let SelectItem::Embed(embed) = item
                && embed.join == Join::Inner
            {
                let exists = self.existence(source, embed, stack)?;
                conditions.push(Expr::Exists(Box::new(exists)));
            }
        }
        self.own_conditions(&level, stack, &mut conditions)?;
        Ok((source, conditions))
    }

    fn own_conditions<'s>(
        &mut self,
        level: &Level<'a, 's>,
        stack: &mut Stack<'s>,
        conditions: &mut Vec<Expr>,
    ) -> Result<(), Error>
    where
        'a: 's,
    {
        let params = self.params;
        for (path, condition) in &params.filters {
            if self.is_for(path, stack) {
                let expr = self.condition(level, condition, stack)?;
                conditions.push(expr);
            }
        }
        Ok(())
    }

    fn condition<'s>(
        &mut self,
        level: &Level<'a, 's>,
        condition: &Condition,
        stack: &mut Stack<'s>,
    ) -> Result<Expr, Error>
    where
        'a: 's,
    {
        match condition {
            Condition::Filter(filter) => self.filter(level, filter, stack),
            Condition::Logic { negated, connective, terms } => {
                let mut exprs = Vec::with_capacity(terms.len());
                for term in terms {
                    exprs.push(self.condition(level, term, stack)?);
                }
                let expr = match connective {
                    Connective::And => Expr::And(exprs),
                    Connective::Or => Expr::Or(exprs),
                };
                Ok(negate(*negated, expr))
            }
        }
    }

    fn filter<'s>(
        &mut self,
        level: &Level<'a, 's>,
        filter: &Filter,
        stack: &mut Stack<'s>,
    ) -> Result<Expr, Error>
    where
        'a: 's,
    {
        let is_column = level.relation.column(&filter.field.name).is_some();
        if !is_column
            && filter.field.path.is_empty()
            && let Some(embed) = self.find_embed(level.select, &filter.field.name)
        {
            return self.embed_filter(level, embed, filter, stack);
        }
        let value = field_value(level.source, level.relation, &filter.field)?;
        super::test::expression(level.relation, value, &filter.test).map(|expr| negate(filter.negated, expr))
    }

    /// `embed=is.null`, `embed=not.is.null`
    fn embed_filter<'s>(
        &mut self,
        level: &Level<'a, 's>,
        embed: &'s SelectEmbed,
        filter: &Filter,
        stack: &mut Stack<'s>,
    ) -> Result<Expr, Error>
    where
        'a: 's,
    {
        let is_null = match filter.test {
            Test::Is(Is::Null) => !filter.negated,
            Test::Is(Is::NotNull) => filter.negated,
            _ => return Err(Error::EmbedFilter(filter.field.name.clone())),
        };
        let exists = self.existence(level.source, embed, stack)?;
        Ok(negate(is_null, Expr::Exists(Box::new(exists))))
    }

    /// Applies `api.max_rows` to a read and everything embedded in it.
    pub(super) fn cap(&self, read: &mut Read) {
        let most = self.config.api.max_rows;
        if most == 0 {
            return;
        }
        read.limit = Some(read.limit.unwrap_or(most).min(most));
        for field in &mut read.fields {
            if let FieldValue::Embed(embed)
            | FieldValue::Lifted(embed)
            | FieldValue::LiftedAggregate { embed, .. } = &mut field.value
            {
                self.cap(&mut embed.read);
            }
        }
    }

    /// Every parameter must be for the relation itself or for an embed that `select` contains.
    fn check_paths(&self, select: &[SelectItem]) -> Result<(), Error> {
        let p = self.params;
        let paths = (p.filters.iter().map(|(path, _)| path))
            .chain(p.order.iter().map(|(path, _)| path))
            .chain(p.limits.iter().map(|(path, _)| path))
            .chain(p.offsets.iter().map(|(path, _)| path));
        for path in paths {
            let mut items = select;
            for name in path {
                let embed = self.find_embed(items, name).ok_or_else(|| Error::NotEmbedded(name.clone()))?;
                items = &embed.select;
            }
        }
        Ok(())
    }
}

/// Narrows a read to the rows from `first` to `last` of its own.
fn intersect(read: &mut Read, first: u64, last: Option<u64>) {
    let end = |offset: u64, limit: Option<u64>| limit.map(|limit| offset.saturating_add(limit));
    let header_end = last.map(|last| last.saturating_add(1));
    let query_end = end(read.offset, read.limit);
    read.offset = read.offset.max(first);
    read.limit = match (header_end, query_end) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
    .map(|end| end.saturating_sub(read.offset));
}

impl Build<'_> {
    /// The embed of a select list that goes by this name.
    pub(super) fn find_embed<'s>(&self, select: &'s [SelectItem], name: &str) -> Option<&'s SelectEmbed> {
        select.iter().find_map(|item| match item {
            SelectItem::Embed(embed) if self.is_called(embed, name) => Some(embed),
            _ => None,
        })
    }

    /// An embed goes by its alias, and by the target's own name where it has none or both are allowed.
    fn is_called(&self, embed: &SelectEmbed, name: &str) -> bool {
        match &embed.alias {
            Some(alias) => alias == name || self.config.api.legacy_target_names && embed.target == name,
            None => embed.target == name,
        }
    }

    fn is_for(&self, path: &[String], stack: &Stack<'_>) -> bool {
        path.len() == stack.len() && stack.iter().zip(path).all(|(embed, name)| self.is_called(embed, name))
    }

    fn last<'p, T>(&self, list: &'p [(Vec<String>, T)], stack: &Stack<'_>) -> Option<&'p T> {
        list.iter().rev().find(|(path, _)| self.is_for(path, stack)).map(|(_, value)| value)
    }
}

/// Every column that the role sees but the computed ones.
fn star(level: &Level<'_, '_>) -> Vec<Field> {
    let columns = level.relation.columns.iter().enumerate();
    let columns = columns.filter(|(_, column)| column.computed.is_none() && !column.hidden);
    columns
        .map(|(at, column)| Field {
            name: column.name.clone(),
            value: FieldValue::Column(as_told(level.relation, whole_column(level.source, at))),
        })
        .collect()
}

pub(super) fn negate(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}
