//! Random requests about a world, and what of it they touch.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::oracle::Sight;
use super::rules::TENANT;
use super::world::{Column, Kind, World};

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names and values, not encoded.
    pub params: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The relations that it reads, junctions among them.
    pub touches: BTreeSet<String>,
    /// Those that it may read, where it does not say by which way.
    pub may_touch: BTreeSet<String>,
    /// The columns that it names.
    pub names: BTreeSet<(String, String)>,
    /// Whether the order of the rows is said at every level.
    pub ordered: bool,
}

impl Request {
    pub fn target(&self) -> String {
        let params: Vec<String> =
            self.params.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
        format!("{}?{}", self.path, params.join("&"))
    }

    pub fn send<T>(&self, to: impl FnOnce(&sqlitrest::Request<'_>) -> T) -> T {
        let target = self.target();
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        to(&sqlitrest::Request {
            method: &self.method,
            target: &target,
            headers: &headers,
            body: self.body.as_bytes(),
        })
    }
}

pub fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| {
            let plain = b.is_ascii_alphanumeric() || b"_.,()!*:-".contains(&b);
            if plain { (b as char).to_string() } else { format!("%{b:02X}") }
        })
        .collect()
}

/// Makes requests.
pub struct Asking<'a, 'd> {
    pub dice: &'a mut Dice<'d>,
    pub world: &'a World,
    pub sights: &'a BTreeMap<String, Sight>,
}

/// A way to another relation.
struct Way {
    target: String,
    to_one: bool,
    through: Option<String>,
    /// What tells it from others after a `!`.
    hint: String,
    /// Whether the role sees it.
    seen: bool,
}

impl Asking<'_, '_> {
    pub fn columns(&self, relation: &str) -> Vec<Column> {
        let all = self.world.relations().into_iter().find(|(name, _)| name == relation);
        all.map(|(_, columns)| columns).unwrap_or_default()
    }

    /// A column, nearly always one that there is.
    fn column(&mut self, request: &mut Request, relation: &str) -> Option<Column> {
        let columns = self.columns(relation);
        let sight = &self.sights[relation];
        let seen: Vec<Column> = columns
            .iter()
            .zip(&sight.columns)
            .filter(|(_, is)| **is)
            .map(|(column, _)| column.clone())
            .collect();
        let column = if seen.is_empty() || self.dice.chance(2) {
            self.dice.one(&columns)
        } else {
            self.dice.one(&seen)
        };
        request.names.insert((relation.to_owned(), column.name.clone()));
        Some(column)
    }

    fn ways(&self, relation: &str) -> Vec<Way> {
        let mut ways = Vec::new();
        let sees = |relation: &str, column: usize| {
            let sight = &self.sights[relation];
            !sight.refused && sight.columns[column]
        };
        for (at, column) in self.columns(relation).into_iter().enumerate() {
            if let Some(target) = column.refers {
                let target = self.world.tables[target].name.clone();
                let seen = sees(relation, at) && sees(&target, 0);
                ways.push(Way { target, to_one: true, through: None, hint: column.name, seen });
            }
        }
        let Some(at) = self.world.tables.iter().position(|table| table.name == relation) else { return ways };
        for other in &self.world.tables {
            for (place, column) in other.columns.iter().enumerate().filter(|(_, c)| c.refers == Some(at)) {
                let seen = sees(&other.name, place) && sees(relation, 0);
                let (target, hint) = (other.name.clone(), column.name.clone());
                ways.push(Way { target, to_one: column.unique, through: None, hint, seen });
                if other.name == "links" {
                    let beyond = other.columns.iter().filter_map(|column| column.refers).find(|to| *to != at);
                    if let Some(beyond) = beyond {
                        let target = self.world.tables[beyond].name.clone();
                        let through = "links".to_owned();
                        let seen = seen && sees(&target, 0) && sees("links", 0) && sees("links", 1);
                        let hint = through.clone();
                        ways.push(Way { target, to_one: false, through: Some(through), hint, seen });
                    }
                }
            }
        }
        ways
    }

    pub fn read(&mut self) -> Request {
        let relations: Vec<String> = self.world.relations().into_iter().map(|(name, _)| name).collect();
        let seen: Vec<String> =
            relations.iter().filter(|name| !self.sights[*name].refused).cloned().collect();
        let relation = if seen.is_empty() || self.dice.chance(3) {
            self.dice.one(&relations)
        } else {
            self.dice.one(&seen)
        };
        let mut request = Request {
            method: self.dice.one(&["GET", "GET", "GET", "GET", "HEAD"]).to_owned(),
            path: format!("/{relation}"),
            ordered: true,
            headers: vec![("x-tenant".to_owned(), TENANT.to_owned())],
            ..Request::default()
        };
        if self.dice.chance(8) {
            return self.call(request);
        }
        let select = self.level(&mut request, &relation, "", 3);
        if !select.is_empty() {
            request.params.insert(0, ("select".to_owned(), select));
        }
        let prefer = self.dice.one(&["", "", "count=exact", "count=planned", "count=estimated"]);
        if !prefer.is_empty() {
            request.headers.push(("prefer".to_owned(), prefer.to_owned()));
        }
        let accept = self.dice.one(&[
            "",
            "",
            "",
            "",
            "",
            "",
            "text/csv",
            "application/vnd.pgrst.object+json",
            "application/json;nulls=stripped",
        ]);
        if !accept.is_empty() && (request.ordered || accept != "text/csv") {
            request.headers.push(("accept".to_owned(), accept.to_owned()));
        }
        request
    }

    /// A call of a function that reads.
    fn call(&mut self, mut request: Request) -> Request {
        let relation = request.path[1..].to_owned();
        let kind = self.dice.one(&["all", "count"]);
        request.path = format!("/rpc/{kind}_{relation}");
        request.touches.insert(relation);
        request.ordered = false;
        request
    }

    /// `select` of a level, with its parameters.
    fn level(&mut self, request: &mut Request, relation: &str, prefix: &str, depth: usize) -> String {
        request.touches.insert(relation.to_owned());
        let mut items: Vec<String> = Vec::new();
        let aggregates = self.dice.chance(12);
        if aggregates {
            for _ in 0..self.dice.between(1, 2) {
                items.extend(self.aggregate(request, relation));
            }
            if self.dice.chance(60)
                && let Some(column) = self.column(request, relation)
                && column.kind != Kind::Json
            {
                items.push(column.name);
            }
            request.ordered = false;
        } else if self.dice.chance(35) {
            items.push("*".to_owned());
        } else {
            for number in 0..self.dice.between(1, 3) {
                items.extend(self.item(request, relation, number));
            }
        }
        let mut embeds: Vec<(String, bool)> = Vec::new();
        if depth > 0 && !aggregates {
            for number in 0..self.dice.one(&[0, 1, 1, 2]) {
                if let Some((item, name, to_one)) = self.embed(request, relation, prefix, depth, number) {
                    items.push(item);
                    embeds.push((name, to_one));
                }
            }
        }
        for _ in 0..self.dice.one(&[0, 0, 1, 1, 2]) {
            if let Some((name, value)) = self.filter(request, relation, 2) {
                request.params.push((format!("{prefix}{name}"), value));
            }
        }
        for (name, _) in &embeds {
            if self.dice.chance(10) {
                let value = self.dice.one(&["not.is.null", "is.null"]);
                request.params.push((format!("{prefix}{name}"), value.to_owned()));
            }
        }
        if !aggregates {
            self.order(request, relation, prefix, &embeds);
        }
        items.join(",")
    }

    fn item(&mut self, request: &mut Request, relation: &str, number: usize) -> Option<String> {
        let column = self.column(request, relation)?;
        let name = &column.name;
        Some(match self.dice.below(8) {
            0 => format!("x{number}:{name}"),
            1 => format!("y{number}:{name}::text"),
            2 if column.kind == Kind::Json => format!("z{number}:{name}->a"),
            3 if column.kind == Kind::Json => format!("w{number}:{name}->>a"),
            4 if column.kind == Kind::Json => format!("v{number}:{name}->b->0"),
            _ => name.clone(),
        })
    }

    fn aggregate(&mut self, request: &mut Request, relation: &str) -> Option<String> {
        let number = request.names.len();
        if self.dice.chance(40) {
            return Some(format!("n{number}:count()"));
        }
        let column = self.column(request, relation)?;
        let what = match column.kind {
            Kind::Integer | Kind::Real => self.dice.one(&["sum", "avg", "min", "max", "count"]),
            Kind::Text => self.dice.one(&["min", "max", "count"]),
            Kind::Boolean | Kind::Json => "count",
        };
        Some(format!("g{number}:{}.{what}()", column.name))
    }

    /// An embed: what stands in `select`, and the name that its parameters have.
    fn embed(
        &mut self,
        request: &mut Request,
        relation: &str,
        prefix: &str,
        depth: usize,
        number: usize,
    ) -> Option<(String, String, bool)> {
        let ways = self.ways(relation);
        let seen: Vec<&Way> = ways.iter().filter(|way| way.seen).collect();
        let way = match (seen.len(), ways.len()) {
            (_, 0) => return None,
            (1.., _) if !self.dice.chance(7) => seen[self.dice.below(seen.len())],
            (_, all) => &ways[self.dice.below(all)],
        };
        let alias = format!("e{}{number}", 4 - depth);
        if ways.iter().any(|other| other.target == way.target && other.through.is_some()) {
            request.may_touch.insert("links".to_owned());
        }
        // A view has the ways of its table, and would have another through the copy of it.
        let needs_hint = self.world.table(relation).is_none() || self.dice.chance(80);
        if let Some(through) = way.through.as_ref().filter(|_| needs_hint) {
            request.touches.insert(through.clone());
        }
        let hint = if needs_hint { format!("!{}", way.hint) } else { String::new() };
        let spread = way.to_one && self.dice.chance(20);
        let inner = if self.dice.chance(30) { "!inner" } else { "" };
        let own = format!("{prefix}{alias}.");
        let select = if spread {
            let column = self.column(request, &way.target)?;
            request.touches.insert(way.target.clone());
            format!("s{}{number}:{}", 4 - depth, column.name)
        } else if self.dice.chance(8) {
            // One that is not told is read for its filters.
            request.touches.insert(way.target.clone());
            let is = self.dice.one(&["not.is.null", "is.null"]);
            request.params.push((format!("{prefix}{alias}"), is.to_owned()));
            String::new()
        } else {
            self.level(request, &way.target.clone(), &own, depth - 1)
        };
        if spread {
            let item = format!("...{}{hint}{inner}({select})", way.target);
            return Some((item, way.target.clone(), true));
        }
        Some((format!("{alias}:{}{hint}{inner}({select})", way.target), alias, way.to_one))
    }

    /// `order`, `limit` and `offset`: pages only where the order leaves nothing open.
    fn order(&mut self, request: &mut Request, relation: &str, prefix: &str, embeds: &[(String, bool)]) {
        let sight = &self.sights[relation];
        let width = self.world.table(relation).map_or(1, |table| table.key.width());
        let columns = self.columns(relation);
        let keys: Vec<String> = sight.rows.values().map(|row| format!("{:?}", &row[..width])).collect();
        let has_null = sight.rows.values().any(|row| row[..width].contains(&rusqlite::types::Value::Null));
        let distinct = keys.iter().collect::<BTreeSet<_>>().len() == keys.len() && !has_null;
        let is_total = distinct && sight.columns[..width].iter().all(|is| *is);
        let mut terms: Vec<String> = Vec::new();
        if self.dice.chance(30)
            && let Some(column) = self.column(request, relation)
        {
            let way = self.dice.one(&["", ".desc", ".nullsfirst", ".desc.nullslast"]);
            terms.push(format!("{}{way}", column.name));
        }
        if let Some((name, true)) = embeds.first()
            && self.dice.chance(10)
        {
            terms.push(format!("{name}(id)"));
        }
        if is_total && self.dice.chance(60) {
            terms.extend(columns[..width].iter().map(|column| column.name.clone()));
            for name in ["limit", "offset"] {
                if self.dice.chance(if name == "limit" { 40 } else { 20 }) {
                    request.params.push((format!("{prefix}{name}"), self.dice.below(4).to_string()));
                }
            }
        } else {
            request.ordered = false;
        }
        if !terms.is_empty() {
            request.params.push((format!("{prefix}order"), terms.join(",")));
        }
    }

    /// A filter: the name and the value of its parameter.
    pub fn filter(
        &mut self,
        request: &mut Request,
        relation: &str,
        depth: usize,
    ) -> Option<(String, String)> {
        if depth > 0 && self.dice.chance(20) {
            let terms: Vec<String> = (0..self.dice.between(1, 3))
                .filter_map(|_| self.filter(request, relation, depth - 1))
                .map(|(name, value)| {
                    if value.starts_with('(') { format!("{name}{value}") } else { format!("{name}.{value}") }
                })
                .collect();
            let word = self.dice.one(&["or", "and", "not.or", "not.and"]);
            return (!terms.is_empty()).then(|| (word.to_owned(), format!("({})", terms.join(","))));
        }
        let column = self.column(request, relation)?;
        let not = if self.dice.chance(20) { "not." } else { "" };
        let name = column.name.clone();
        let (name, value) = match column.kind {
            Kind::Json => match self.dice.below(7) {
                0 => (name, "is.null".to_owned()),
                1 => (format!("{name}->a"), "eq.1".to_owned()),
                2 => (format!("{name}->>a"), "eq.x".to_owned()),
                3 => (format!("{name}->a"), "gt.0".to_owned()),
                4 => (name, "cs.{\"a\":1}".to_owned()),
                5 => (name, "cd.[1,2,3]".to_owned()),
                _ => (name, "ov.[1]".to_owned()),
            },
            Kind::Boolean => (
                name,
                self.dice
                    .one(&[
                        "is.true",
                        "is.false",
                        "is.unknown",
                        "eq.true",
                        "neq.false",
                        "is.null",
                        "in.(true,false)",
                    ])
                    .to_owned(),
            ),
            kind => {
                let values: &[&str] = match kind {
                    Kind::Integer => &["1", "2", "0", "-1", "7", "1001"],
                    Kind::Real => &["0.5", "1.0", "-4.75", "2"],
                    _ => &["a", "k0", "k1", "", "it's", "***", "%", "mk0", "sport", "A"],
                };
                let one = self.dice.one(values);
                let two = self.dice.one(values);
                let quote = |text: &str| format!("\"{}\"", text.replace('"', "\\\""));
                let value = match self.dice.below(17) {
                    0..=2 => format!("eq.{}", if depth < 2 { quote(one) } else { one.to_owned() }),
                    3 => format!("neq.{one}"),
                    4 => format!("gt.{one}"),
                    5 => format!("gte.{one}"),
                    6 => format!("lt.{one}"),
                    7 => format!("lte.{one}"),
                    8 => format!("in.({},{})", quote(one), quote(two)),
                    9 => self.dice.one(&["is.null", "is.not_null"]).to_owned(),
                    10 => format!("isdistinct.{one}"),
                    11 if kind == Kind::Text => {
                        self.dice.one(&["like.*a*", "like.m*", "ilike.A*", "like(any).{a*,*k*}"]).to_owned()
                    }
                    12 if kind == Kind::Text => {
                        self.dice.one(&["match.^[a-k]", "imatch.A", "match.("]).to_owned()
                    }
                    13 => format!("eq(any).{{{},{}}}", quote(one), quote(two)),
                    14 => format!("lt(all).{{{},{}}}", quote(one), quote(two)),
                    15 => {
                        let same: Vec<Column> = self
                            .columns(relation)
                            .into_iter()
                            .zip(&self.sights[relation].columns)
                            .filter(|(other, is)| **is && other.kind == kind)
                            .map(|(other, _)| other)
                            .collect();
                        if same.is_empty() {
                            "is.null".to_owned()
                        } else {
                            let operator = self.dice.one(&["eq", "neq", "gt", "lte", "isdistinct"]);
                            format!("{operator}(col).{}", self.dice.one(&same).name)
                        }
                    }
                    _ => format!("not.gt.{one}")
                        .trim_start_matches(if not.is_empty() { "" } else { "not." })
                        .to_owned(),
                };
                (name, value)
            }
        };
        let value = if value.starts_with("not.") { value } else { format!("{not}{value}") };
        Some((name, value))
    }
}
