//! Embeds: which relationship a target and its hint mean, and where their rows show.

use super::build::{Build, Level, Stack};
use super::value::{field_value, whole_column};
use super::{CastType, ColumnValue, Embed, Expr, Field, FieldValue, OrderValue, Read, Source};
use crate::error::Error;
use crate::order::{OrderFunction, OrderTerm};
use crate::schema::{RelationId, Relationship};
use crate::select::{Aggregate, Embed as SelectEmbed, Join};

impl<'a> Build<'a> {
    /// Adds an embed to a read: its field or, spread, its fields, and with `!inner` the condition that it has a row.
    pub(super) fn embed<'s>(
        &mut self,
        read: &mut Read,
        embed: &'s SelectEmbed,
        stack: &mut Stack<'s>,
    ) -> Result<(), Error>
    where
        'a: 's,
    {
        if embed.join == Join::Inner {
            let exists = self.existence(read.source, embed, stack)?;
            read.conditions.push(Expr::Exists(Box::new(exists)));
        }
        let embedded = self.occurrence(read.source, embed, stack)?;
        if embed.spread {
            return spread(read, embedded);
        }
        // `rel()` and `rel(other())` filter without being shown.
        if !embedded.read.fields.is_empty() {
            read.fields.push(Field {
                name: embed.alias.as_ref().unwrap_or(&embed.target).clone(),
                value: FieldValue::Embed(Box::new(embedded)),
            });
        }
        Ok(())
    }

    /// `order=embed(column)`, `order=embed(count())`
    pub(super) fn related_order<'s>(
        &mut self,
        level: &Level<'a, 's>,
        name: &str,
        term: &OrderTerm,
        stack: &mut Stack<'s>,
    ) -> Result<OrderValue, Error>
    where
        'a: 's,
    {
        let embed = self.find_embed(level.select, name).ok_or_else(|| Error::NotEmbedded(name.to_owned()))?;
        let mut embedded = self.existence(level.source, embed, stack)?;
        let aggregate = match term.function {
            Some(OrderFunction::Rank) => {
                return Err(Error::NotImplemented("The rank of an embed".to_owned()));
            }
            Some(OrderFunction::Aggregate(aggregate)) => Some(self.allowed(aggregate)?),
            None if embedded.relationship.cardinality.is_to_one() => None,
            None => {
                return Err(Error::RelatedOrder {
                    origin: level.relation.name.clone(),
                    target: embed.alias.as_ref().unwrap_or(&embed.target).clone(),
                });
            }
        };
        let value = if term.field.name.is_empty() {
            FieldValue::CountRows(None)
        } else {
            let target = self.relation(embedded.read.source.relation)?;
            let value = field_value(embedded.read.source, target, &term.field)?;
            FieldValue::Column(ColumnValue { aggregate, ..value })
        };
        embedded.read.fields = vec![Field { name: String::new(), value }];
        Ok(OrderValue::Embed(Box::new(embedded)))
    }

    /// An occurrence of which only the existence matters: its conditions and those of the embeds inside it, no fields. (With
    /// fields, each level of `!inner` would double the work of the one inside it.)
    pub(super) fn existence<'s>(
        &mut self,
        outer: Source,
        embed: &'s SelectEmbed,
        stack: &mut Stack<'s>,
    ) -> Result<Embed, Error>
    where
        'a: 's,
    {
        self.occurrence_reading(outer, embed, stack, |planner, target, stack| {
            let (source, conditions) = planner.conditions_of(target, &embed.select, stack)?;
            Ok(Read { conditions, ..Read::of(source) })
        })
    }

    /// One occurrence of an embed, with aliases of its own.
    pub(super) fn occurrence<'s>(
        &mut self,
        outer: Source,
        embed: &'s SelectEmbed,
        stack: &mut Stack<'s>,
    ) -> Result<Embed, Error>
    where
        'a: 's,
    {
        self.occurrence_reading(outer, embed, stack, |planner, target, stack| {
            planner.read(target, &embed.select, stack)
        })
    }

    /// An embed whose rows are what `read` makes of its target. The junction takes its alias before them.
    fn occurrence_reading<'s>(
        &mut self,
        outer: Source,
        embed: &'s SelectEmbed,
        stack: &mut Stack<'s>,
        read: impl FnOnce(&mut Self, RelationId, &mut Stack<'s>) -> Result<Read, Error>,
    ) -> Result<Embed, Error> {
        let relationship = self.relationship(outer.relation, embed)?;
        stack.push(embed);
        let junction = relationship.junction.as_ref().map(|j| self.source(j.relation));
        self.next_is_given = relationship.computed.is_some();
        let read = read(self, relationship.target, stack);
        stack.pop();
        Ok(Embed { relationship, outer, junction, read: read? })
    }

    pub(super) fn relationship(
        &self,
        origin: RelationId,
        embed: &SelectEmbed,
    ) -> Result<Relationship, Error> {
        let origin_name = self.relation(origin)?.name.clone();
        let mut found = self.schema.relationships(origin, &embed.target, embed.hint.as_deref());
        match found.len() {
            1 => found.pop().ok_or_else(|| Error::Internal("a list of one is empty".to_owned())),
            0 => Err(Error::NoRelationship {
                origin: origin_name,
                target: embed.target.clone(),
                hint: embed.hint.clone(),
                near: self.schema.near(&embed.target).filter(|near| *near != embed.target),
            }),
            _ => Err(Error::AmbiguousRelationship {
                origin: origin_name,
                target: embed.target.clone(),
                candidates: found.iter().map(|r| self.schema.candidate(origin, r)).collect(),
            }),
        }
    }
}

/// Each field of the embed becomes one of the row around it.
fn spread(read: &mut Read, embed: Embed) -> Result<(), Error> {
    let is_to_one = embed.relationship.cardinality.is_to_one();
    if embed.read.distinct && embed.read.fields.len() > 1 {
        let what = "distinct() of several columns in a spread relationship".to_owned();
        return Err(Error::NotImplemented(what));
    }
    for field in &embed.read.fields {
        if field.value.is_aggregate() && !is_to_one {
            let what = "An aggregate inside a to-many spread relationship".to_owned();
            return Err(Error::NotImplemented(what));
        }
        let mut one = embed.clone();
        let (value, aggregate) = without_aggregate(&embed, field.value.clone())?;
        one.read.fields = vec![Field { name: field.name.clone(), value }];
        let embed = Box::new(one);
        let value = match aggregate {
            Some((aggregate, cast)) => FieldValue::LiftedAggregate { embed, aggregate, cast },
            None => FieldValue::Lifted(embed),
        };
        read.fields.push(Field { name: field.name.clone(), value });
    }
    Ok(())
}

/// What an aggregate is made of, and the aggregate with its cast: inside a spread it is of the rows around.
type Taken = (FieldValue, Option<(Aggregate, Option<CastType>)>);

fn without_aggregate(embed: &Embed, value: FieldValue) -> Result<Taken, Error> {
    Ok(match value {
        FieldValue::CountRows(cast) => {
            // The rows that have one to spread: those in which a column of its key is there.
            let (_, key) = embed.relationship.columns.first().ok_or_else(|| {
                Error::NotImplemented("count() in the spread of a computed relationship".to_owned())
            })?;
            let key = FieldValue::Column(whole_column(embed.read.source, *key));
            (key, Some((Aggregate::Count, cast)))
        }
        FieldValue::LiftedAggregate { embed, aggregate, cast } => {
            (FieldValue::Lifted(embed), Some((aggregate, cast)))
        }
        FieldValue::Column(ColumnValue {
            aggregate: Some(aggregate),
            aggregate_cast,
            column,
            path,
            cast,
            ..
        }) => {
            let value =
                ColumnValue { column, represented: false, path, cast, aggregate: None, aggregate_cast: None };
            (FieldValue::Column(value), Some((aggregate, aggregate_cast)))
        }
        value => (value, None),
    })
}
