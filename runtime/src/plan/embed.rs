//! Embeds: which relationship a target and its hint mean, and where their rows show.

use super::build::{Build, Level, Stack, find_embed};
use super::value::field_value;
use super::{Embed, Expr, Field, FieldValue, OrderValue, Read, Source};
use crate::error::Error;
use crate::schema::{RelationId, Relationship};
use crate::select::{Embed as SelectEmbed, Join};

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

    /// `order=embed(column)`
    pub(super) fn related_order<'s>(
        &mut self,
        level: &Level<'a, 's>,
        name: &str,
        field: &crate::field::Field,
        stack: &mut Stack<'s>,
    ) -> Result<OrderValue, Error>
    where
        'a: 's,
    {
        let embed = find_embed(level.select, name).ok_or_else(|| Error::NotEmbedded(name.to_owned()))?;
        let mut embedded = self.occurrence(level.source, embed, stack)?;
        if !embedded.relationship.cardinality.is_to_one() {
            return Err(Error::RelatedOrder {
                origin: level.relation.name.clone(),
                target: embed.alias.as_ref().unwrap_or(&embed.target).clone(),
            });
        }
        let target = self.relation(embedded.read.source.relation)?;
        let value = field_value(embedded.read.source, target, field)?;
        embedded.read.fields = vec![Field { name: String::new(), value: FieldValue::Column(value) }];
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
            Ok(Read { source, fields: Vec::new(), conditions, order: Vec::new(), limit: None, offset: 0 })
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
        let read = read(self, relationship.target, stack);
        stack.pop();
        Ok(Embed { relationship, outer, junction, read: read? })
    }

    fn relationship(&self, origin: RelationId, embed: &SelectEmbed) -> Result<Relationship, Error> {
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
    for field in &embed.read.fields {
        if is_aggregate(&field.value) {
            let kind = if is_to_one { "to-one" } else { "to-many" };
            return Err(Error::NotImplemented(format!("An aggregate inside a {kind} spread relationship")));
        }
        let mut one = embed.clone();
        one.read.fields = vec![field.clone()];
        read.fields.push(Field { name: field.name.clone(), value: FieldValue::Lifted(Box::new(one)) });
    }
    Ok(())
}

fn is_aggregate(value: &FieldValue) -> bool {
    match value {
        FieldValue::CountRows(_) => true,
        FieldValue::Column(column) => column.aggregate.is_some(),
        FieldValue::Lifted(embed) => embed.read.fields.iter().any(|f| is_aggregate(&f.value)),
        FieldValue::Embed(_) => false,
    }
}
