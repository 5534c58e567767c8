//! Embeds: which relationship a target and its hint mean.

use super::build::{Build, Stack};
use super::{Embed, Expr, Field, FieldValue, Read, Source};
use crate::error::Error;
use crate::schema::{RelationId, Relationship};
use crate::select::{Embed as SelectEmbed, Join};

impl Build<'_> {
    /// Adds an embed to a read: its field, and with `!inner` the condition that it has a row.
    pub(super) fn embed<'s>(
        &mut self,
        read: &mut Read,
        embed: &'s SelectEmbed,
        stack: &mut Stack<'s>,
    ) -> Result<(), Error> {
        let relationship = self.relationship(read.source.relation, embed)?;
        if embed.join == Join::Inner {
            let exists = self.embedded(read.source, &relationship, embed, stack)?;
            read.conditions.push(Expr::Exists(Box::new(exists)));
        }
        let embedded = self.embedded(read.source, &relationship, embed, stack)?;
        // `rel()` and `rel(other())` filter without being shown.
        if !embedded.read.fields.is_empty() {
            read.fields.push(Field {
                name: embed.alias.as_ref().unwrap_or(&embed.target).clone(),
                value: FieldValue::Embed(Box::new(embedded)),
            });
        }
        Ok(())
    }

    /// One occurrence of an embed, with aliases of its own.
    fn embedded<'s>(
        &mut self,
        outer: Source,
        relationship: &Relationship,
        embed: &'s SelectEmbed,
        stack: &mut Stack<'s>,
    ) -> Result<Embed, Error> {
        stack.push(embed);
        let junction = relationship.junction.as_ref().map(|j| self.source(j.relation));
        let read = self.read(relationship.target, &embed.select, stack)?;
        stack.pop();
        Ok(Embed { relationship: relationship.clone(), outer, junction, read })
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
