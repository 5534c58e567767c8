//! The third stage: policies. The only maker of [`Authorized`], and the compile stage takes nothing else, so that no SQL
//! exists that a policy has not seen.
//!
//! The schema is that of a role ([`SchemaCache::for_role`]): rows and columns are narrowed by what its relations carry
//! wherever they occur. Here is decided whether the role may do at all what a plan does, and what a write is held to.

use crate::compile::denied;
use crate::error::Error;
use crate::plan::{
    Delete, Embed, Expr, FieldValue, Insert, InsertTree, OrderValue, Plan, Precondition, Read, Returning,
    Update,
};
use crate::policy::Rows;
use crate::policy::access::Permit;
use crate::schema::{Relation, RelationId, SchemaCache};

/// A plan that the policies allow, with what they hold it to.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorized {
    plan: Plan,
    limits: Limits,
    restricted: bool,
    relations: Vec<RelationId>,
}

/// What a write is held to.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The rows that may be written: of each change of an update; of rows that an upsert finds.
    pub using: Vec<Rows>,
    /// What must hold of the rows written; of each row of a tree.
    pub check: Vec<Rows>,
}

impl Authorized {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it is held to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether it concerns a relation of which the role does not see everything.
    pub fn is_restricted(&self) -> bool {
        self.restricted
    }

    /// The relations that it names, each once.
    pub fn relations(&self) -> &[RelationId] {
        &self.relations
    }

    /// The plan, for the reply stage.
    pub fn into_plan(self) -> Plan {
        self.plan
    }
}

/// Lets the policies see a plan. `schema` is the one that it was built for.
///
/// # Errors
/// 42501 where they refuse it.
pub fn authorize(schema: &SchemaCache, plan: Plan) -> Result<Authorized, Error> {
    let mut sight = Sight { schema, restricted: false, relations: Vec::new() };
    let mut plan = plan;
    let limits = match &mut plan {
        Plan::Read { read, .. } => sight.read(read).map(|()| Limits::none())?,
        Plan::Call { call, .. } => {
            if let Some(read) = &call.read {
                // The rows are the function's; what is embedded into them is not.
                sight.parts(read)?;
            }
            // What its SQL asks is not known here.
            sight.restricted |= !schema.restricted.is_empty();
            Limits::none()
        }
        Plan::Insert(insert) => sight.insert(insert)?,
        Plan::InsertTree(tree) => sight.insert_tree(tree)?,
        Plan::Update(update) => sight.update(update)?,
        Plan::Delete(delete) => sight.delete(delete)?,
        Plan::Options(_) => Limits::none(),
    };
    Ok(Authorized { restricted: sight.restricted, relations: sight.relations, plan, limits })
}

impl Limits {
    fn none() -> Limits {
        Limits { using: Vec::new(), check: Vec::new() }
    }
}

/// What a role may see.
struct Sight<'a> {
    schema: &'a SchemaCache,
    restricted: bool,
    relations: Vec<RelationId>,
}

impl Sight<'_> {
    fn relation(&self, id: RelationId) -> Result<&Relation, Error> {
        self.schema.relations.get(id).ok_or_else(|| Error::Internal(format!("no relation {id}")))
    }

    fn note(&mut self, id: RelationId) {
        if !self.relations.contains(&id) {
            self.relations.push(id);
        }
    }

    /// An occurrence that is read.
    fn seen(&mut self, id: RelationId) -> Result<(), Error> {
        self.note(id);
        let relation = self.relation(id)?;
        let Some(access) = &relation.access else { return Ok(()) };
        if access.select.is_none() {
            return Err(denied(relation));
        }
        self.restricted |= !access.sees_all();
        Ok(())
    }

    fn read(&mut self, read: &Read) -> Result<(), Error> {
        self.seen(read.source.relation)?;
        self.parts(read)
    }

    /// What is read beside the rows themselves.
    fn parts(&mut self, read: &Read) -> Result<(), Error> {
        for field in &read.fields {
            if let FieldValue::Embed(embed)
            | FieldValue::Lifted(embed)
            | FieldValue::LiftedAggregate { embed, .. } = &field.value
            {
                self.embed(embed)?;
            }
        }
        for term in &read.order {
            match &term.value {
                OrderValue::Embed(embed) => self.embed(embed)?,
                OrderValue::Rank { column, .. } => self.rank(column.source.relation)?,
                OrderValue::Column(_) | OrderValue::Rowid(_) | OrderValue::CountRows => {}
            }
        }
        self.conditions(&read.conditions)
    }

    fn embed(&mut self, embed: &Embed) -> Result<(), Error> {
        if let Some(junction) = embed.junction {
            self.seen(junction.relation)?;
        }
        self.read(&embed.read)
    }

    fn conditions(&mut self, conditions: &[Expr]) -> Result<(), Error> {
        for condition in conditions {
            match condition {
                Expr::Exists(embed) => self.embed(embed)?,
                Expr::Not(inner) => self.conditions(std::slice::from_ref(inner))?,
                Expr::And(terms) | Expr::Or(terms) => self.conditions(terms)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// How well a row fits goes by all rows of the index, those among them that the role does not see.
    fn rank(&self, id: RelationId) -> Result<(), Error> {
        let access = self.relation(id)?.access.as_ref();
        if access.is_some_and(|access| access.select != Some(Rows::All)) {
            let what = "The rank among rows of which a policy shows a part";
            return Err(Error::NotImplemented(what.to_owned()));
        }
        Ok(())
    }

    /// What a write tells of the rows.
    fn told(&mut self, id: RelationId, returning: &mut Returning) -> Result<(), Error> {
        match returning {
            Returning::Count | Returning::Location => return Ok(()),
            Returning::Rows(read) => return self.read(read),
            Returning::Written(read) => self.read(read)?,
        }
        let relation = self.relation(id)?;
        let sees_all = relation.access.as_ref().is_none_or(|access| access.sees_all());
        // What the write itself returns has passed no policy.
        if !sees_all && relation.rewrite.is_some() {
            if let Returning::Written(read) = returning {
                *returning = Returning::Rows(read.clone());
            }
        } else if !sees_all {
            let what = "The representation of rows written through a view of which a policy shows a part";
            return Err(Error::NotImplemented(what.to_owned()));
        }
        Ok(())
    }

    fn precondition(&mut self, precondition: Option<&Precondition>) -> Result<(), Error> {
        precondition.map_or(Ok(()), |precondition| self.read(&precondition.read))
    }

    /// What an insert of these columns is held to.
    fn insert_permit(&mut self, id: RelationId, columns: &[usize]) -> Result<Option<Permit>, Error> {
        self.note(id);
        let relation = self.relation(id)?;
        let Some(access) = &relation.access else { return Ok(None) };
        let permit = access.insert.permit(columns).ok_or_else(|| denied(relation))?;
        self.restricted |= permit.check != Rows::All;
        Ok(Some(permit))
    }

    fn update_permit(&mut self, id: RelationId, columns: &[usize]) -> Result<Option<Permit>, Error> {
        self.note(id);
        let relation = self.relation(id)?;
        let Some(access) = &relation.access else { return Ok(None) };
        let permit = access.update.permit(columns).ok_or_else(|| denied(relation))?;
        self.restricted |= permit.check != Rows::All || permit.using != Rows::All;
        Ok(Some(permit))
    }

    fn insert(&mut self, insert: &mut Insert) -> Result<Limits, Error> {
        let id = insert.target.relation;
        let mut columns: Vec<usize> =
            insert.rows.iter().flat_map(|run| run.columns.iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        let mut limits = Limits::none();
        let mut checks: Vec<Rows> = Vec::new();
        checks.extend(self.insert_permit(id, &columns)?.map(|permit| permit.check));
        if let Some(conflict) = insert.conflict.as_ref().filter(|conflict| conflict.merge) {
            let changed: Vec<usize> =
                columns.iter().copied().filter(|place| !conflict.key.contains(place)).collect();
            if let Some(permit) = self.update_permit(id, &changed)? {
                // Rows are found by their key, so that they must be seen.
                self.seen(id)?;
                limits.using.push(permit.using);
                checks.push(permit.check);
            }
        }
        limits.check.push(Rows::all(checks));
        self.told(id, &mut insert.returning)?;
        self.precondition(insert.precondition.as_ref())?;
        self.key_can_be_checked(id, &limits, &mut insert.returning)?;
        Ok(limits)
    }

    /// Rows written through a view are checked by its key.
    fn key_can_be_checked(
        &self,
        id: RelationId,
        limits: &Limits,
        returning: &mut Returning,
    ) -> Result<(), Error> {
        let relation = self.relation(id)?;
        if relation.rewrite.is_none() || limits.check.iter().all(|check| *check == Rows::All) {
            return Ok(());
        }
        if !relation.key_is_sure {
            let what = "A write through a view whose rows a policy checks and have no sure key";
            return Err(Error::NotImplemented(what.to_owned()));
        }
        if let Returning::Written(read) = returning {
            *returning = Returning::Rows(read.clone());
        }
        Ok(())
    }

    fn insert_tree(&mut self, tree: &mut InsertTree) -> Result<Limits, Error> {
        let mut limits = Limits::none();
        for row in &tree.rows {
            let columns: Vec<usize> = row.values.iter().map(|(place, _)| *place).collect();
            let permit = self.insert_permit(row.relation, &columns)?;
            limits.check.push(permit.map_or(Rows::All, |permit| permit.check));
        }
        self.told(tree.target.relation, &mut tree.returning)?;
        let mut none = Returning::Count;
        for (row, check) in tree.rows.iter().zip(&limits.check) {
            let own = Limits { using: Vec::new(), check: vec![check.clone()] };
            self.key_can_be_checked(row.relation, &own, &mut none)?;
        }
        Ok(limits)
    }

    fn update(&mut self, update: &mut Update) -> Result<Limits, Error> {
        let id = update.target.relation;
        let mut limits = Limits::none();
        let mut checks = Vec::new();
        for change in &update.changes {
            let columns: Vec<usize> = change.assignments.iter().map(|(place, _)| *place).collect();
            if !change.conditions.is_empty() {
                self.seen(id)?;
            }
            self.conditions(&change.conditions)?;
            let permit = self.update_permit(id, &columns)?;
            let permit = permit.unwrap_or(Permit { using: Rows::All, check: Rows::All });
            limits.using.push(permit.using);
            if !checks.contains(&permit.check) {
                checks.push(permit.check);
            }
        }
        // Each change would find what the one before has made.
        let asks_own = |rows: &Rows| rows.condition().is_some_and(|condition| condition.reads(id));
        if update.changes.len() > 1 && limits.using.iter().chain(&checks).any(asks_own) {
            let what = "A PATCH of an array where a rule asks other rows of the same table";
            return Err(Error::NotImplemented(what.to_owned()));
        }
        if update.changes.is_empty() {
            self.update_permit(id, &[])?;
        }
        limits.check.push(Rows::all(checks));
        self.told(id, &mut update.returning)?;
        self.precondition(update.precondition.as_ref())?;
        self.key_can_be_checked(id, &limits, &mut update.returning)?;
        Ok(limits)
    }

    fn delete(&mut self, delete: &mut Delete) -> Result<Limits, Error> {
        let id = delete.target.relation;
        if !delete.conditions.is_empty() {
            self.seen(id)?;
        }
        self.conditions(&delete.conditions)?;
        self.note(id);
        let relation = self.relation(id)?;
        let using = match &relation.access {
            None => Rows::All,
            Some(access) => access.delete.clone().ok_or_else(|| denied(relation))?,
        };
        self.restricted |= using != Rows::All;
        self.told(id, &mut delete.returning)?;
        self.precondition(delete.precondition.as_ref())?;
        Ok(Limits { using: vec![using], check: Vec::new() })
    }
}
