//! How one relation can be embedded into another: by foreign keys in both directions, and through junctions.
//!
//! <https://docs.postgrest.org/en/stable/references/api/resource_embedding.html>

use super::{ForeignKey, Relation, RelationId, RelationKind, SchemaCache};
use crate::error::Candidate;

/// A way from the rows of one relation to those of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Relationship {
    /// How many rows of the other relation one row has.
    pub cardinality: Cardinality,
    /// The foreign key's name; for a junction, the names of both.
    pub constraint: String,
    /// The other relation.
    pub target: RelationId,
    /// Whether the foreign key is the origin's.
    pub is_forward: bool,
    /// The columns compared: of the origin, and of the target or junction.
    pub columns: Vec<(usize, usize)>,
    /// The table between the two, where there is one.
    pub junction: Option<Junction>,
    /// The query of a computed relationship, in which `{row}` stands for the row.
    pub computed: Option<String>,
}

/// The table between two relations that are related many-to-many.
#[derive(Clone, Debug, PartialEq)]
pub struct Junction {
    /// The table.
    pub relation: RelationId,
    /// The columns compared: of the junction, and of the target.
    pub columns: Vec<(usize, usize)>,
    /// The names of the foreign keys to the origin and to the target.
    constraints: (String, String),
}

/// How many rows of the target one row of the origin has, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// At most one; the foreign key is the origin's.
    ManyToOne,
    /// Any number; the foreign key is the target's.
    OneToMany,
    /// At most one; the foreign key is the target's and unique, or the origin's and unique.
    OneToOne,
    /// Any number, through a junction.
    ManyToMany,
}

impl Cardinality {
    /// Its name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToMany => "many-to-many",
        }
    }

    /// Whether the embed is one object (or null) rather than an array.
    pub fn is_to_one(self) -> bool {
        matches!(self, Cardinality::ManyToOne | Cardinality::OneToOne)
    }
}

impl SchemaCache {
    /// Every relationship from `origin` that `target` (a relation's, foreign key's or column's name) and `hint` can mean.
    pub fn relationships(&self, origin: RelationId, target: &str, hint: Option<&str>) -> Vec<Relationship> {
        let Some(relation) = self.relations.get(origin) else {
            return Vec::new();
        };
        // A computed relationship stands before those of foreign keys.
        if let Some(computed) = relation.computed.iter().find(|computed| computed.name == target) {
            return vec![Relationship {
                cardinality: if computed.single { Cardinality::ManyToOne } else { Cardinality::OneToMany },
                is_forward: false,
                constraint: computed.name.clone(),
                target: computed.target,
                columns: Vec::new(),
                junction: None,
                computed: Some(computed.sql.clone()),
            }];
        }
        let mut found: Vec<Relationship> = self
            .forward(relation)
            .chain(self.backward(origin))
            .filter(|r| self.is_meant(origin, r, target, hint))
            .collect();
        if let Some((target, _)) = self.relation(target) {
            found.extend(
                self.through_junctions(origin, target)
                    .filter(|r| hint.is_none_or(|hint| self.junction_has(r, hint))),
            );
        }
        found
    }

    /// By the origin's own foreign keys.
    fn forward<'a>(&'a self, relation: &'a Relation) -> impl Iterator<Item = Relationship> + 'a {
        relation.foreign_keys.iter().filter(|key| !key.hidden).map(|key| Relationship {
            cardinality: if key.unique { Cardinality::OneToOne } else { Cardinality::ManyToOne },
            is_forward: true,
            constraint: key.name.clone(),
            target: key.target,
            columns: pairs(&key.columns, &key.target_columns),
            junction: None,
            computed: None,
        })
    }

    /// By the foreign keys of others that refer to the origin.
    fn backward(&self, origin: RelationId) -> impl Iterator<Item = Relationship> + '_ {
        self.keys_to(origin).map(|(target, _, key)| Relationship {
            cardinality: if key.unique { Cardinality::OneToOne } else { Cardinality::OneToMany },
            is_forward: false,
            constraint: key.name.clone(),
            target,
            columns: pairs(&key.target_columns, &key.columns),
            junction: None,
            computed: None,
        })
    }

    /// By tables and views whose primary key holds a foreign key to each of the two.
    fn through_junctions(
        &self,
        origin: RelationId,
        target: RelationId,
    ) -> impl Iterator<Item = Relationship> + '_ {
        self.keys_to(origin).flat_map(move |(junction, relation, near)| {
            let in_key = |key: &ForeignKey| key.columns.iter().all(|at| relation.primary_key.contains(at));
            relation
                .foreign_keys
                .iter()
                .filter(move |far| {
                    !far.hidden
                        && far.target == target
                        && far.name != near.name
                        && in_key(near)
                        && in_key(far)
                })
                .map(move |far| Relationship {
                    cardinality: Cardinality::ManyToMany,
                    is_forward: false,
                    constraint: format!("{} and {}", near.name, far.name),
                    target,
                    columns: pairs(&near.target_columns, &near.columns),
                    junction: Some(Junction {
                        relation: junction,
                        columns: pairs(&far.columns, &far.target_columns),
                        constraints: (near.name.clone(), far.name.clone()),
                    }),
                    computed: None,
                })
        })
    }

    fn keys_to(&self, origin: RelationId) -> impl Iterator<Item = (RelationId, &Relation, &ForeignKey)> {
        self.referrers.get(origin).into_iter().flatten().filter_map(|(id, at)| {
            let relation = self.relations.get(*id)?;
            let key = relation.foreign_keys.get(*at).filter(|key| !key.hidden)?;
            Some((*id, relation, key))
        })
    }

    /// Whether a relationship by one foreign key is what the request names.
    fn is_meant(&self, origin: RelationId, r: &Relationship, target: &str, hint: Option<&str>) -> bool {
        let own = |name: &str| self.single_column(origin, r.columns.iter().map(|c| c.0)) == Some(name);
        let other = |name: &str| self.single_column(r.target, r.columns.iter().map(|c| c.1)) == Some(name);
        let is_table = self.relations.get(r.target).is_some_and(|t| t.name == target);
        // A foreign key to the own relation is two relationships of one name. The key or its column as target means the
        // parent, the relation as target means the children, as in PostgREST.
        let own_key = self.relations.get(origin).is_some_and(|o| {
            o.foreign_keys
                .iter()
                .any(|k| k.name == r.constraint && pairs(&k.columns, &k.target_columns) == r.columns)
        });
        let is_self = r.target == origin;
        // A key is that of the views of its table, too, so that its name and its columns' can only mean the table.
        let named_by_key =
            is_self || !self.relations.get(r.target).is_some_and(|t| t.kind == RelationKind::View);
        match hint {
            None if is_table => !is_self || !own_key,
            None => {
                named_by_key
                    && ((target == r.constraint && (own_key || !is_self)) || (own_key && own(target)))
            }
            Some(hint) if is_self => is_table && !own_key && (other(hint) || hint == r.constraint),
            Some(hint) => is_table && (hint == r.constraint || own(hint) || other(hint)),
        }
    }

    fn junction_has(&self, r: &Relationship, hint: &str) -> bool {
        r.junction.as_ref().is_some_and(|j| {
            self.relations.get(j.relation).is_some_and(|t| t.name == hint)
                || j.constraints.0 == hint
                || j.constraints.1 == hint
        })
    }

    fn single_column(&self, relation: RelationId, mut columns: impl Iterator<Item = usize>) -> Option<&str> {
        let first = columns.next()?;
        if columns.next().is_some() {
            return None;
        }
        self.relations.get(relation)?.columns.get(first).map(|c| c.name.as_str())
    }

    /// How an error about several relationships lists this one.
    pub fn candidate(&self, origin: RelationId, r: &Relationship) -> Candidate {
        let list = |relation: RelationId, columns: Vec<usize>| {
            let relation = self.relations.get(relation);
            let names: Vec<&str> = relation.map(|r| r.column_names(&columns).collect()).unwrap_or_default();
            (relation.map_or("", |r| r.name.as_str()), names.join(", "))
        };
        let (origin_name, origin_columns) = list(origin, r.columns.iter().map(|c| c.0).collect());
        let (relationship, hint) = match &r.junction {
            None => {
                let (target, columns) = list(r.target, r.columns.iter().map(|c| c.1).collect());
                let key = &r.constraint;
                (format!("{key} using {origin_name}({origin_columns}) and {target}({columns})"), key.clone())
            }
            Some(junction) => {
                let (name, near) = list(junction.relation, r.columns.iter().map(|c| c.1).collect());
                let (_, far) = list(junction.relation, junction.columns.iter().map(|c| c.0).collect());
                let (near_key, far_key) = &junction.constraints;
                (format!("{name} using {near_key}({near}) and {far_key}({far})"), name.to_owned())
            }
        };
        Candidate { cardinality: r.cardinality.name(), relationship, hint }
    }
}

fn pairs(a: &[usize], b: &[usize]) -> Vec<(usize, usize)> {
    a.iter().copied().zip(b.iter().copied()).collect()
}
