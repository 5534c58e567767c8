//! Whatever queries there are, their text is read as what it says.

use proptest::prelude::*;

use super::parse::view_query;
use super::query::{Cte, Equal, Item, Join, Query, Rows, Select, Source};

const NAMES: &[&str] = &["id", "t", "projects", "a b", "it's", "say \"x\"", "select", "ünïcode", "x"];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES).prop_map(str::to_owned)
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        Just(Item::All),
        name().prop_map(Item::AllOf),
        (prop::option::of(name()), name(), name()).prop_map(|(table, column, name)| Item::Column {
            table,
            column,
            name
        }),
        prop_oneof![Just(String::new()), name()].prop_map(|name| Item::Expression { name }),
    ]
}

fn source(query: impl Strategy<Value = Query> + 'static) -> impl Strategy<Value = Source> {
    let join = prop::sample::select(vec![Join::Left, Join::Right, Join::Neither]);
    let equal = prop_oneof![
        Just(Equal::None),
        Just(Equal::Natural),
        prop::collection::vec(name(), 1..3).prop_map(Equal::Using)
    ];
    let rows = prop_oneof![
        2 => (name(), name()).prop_map(|(table, alias)| (Rows::Of(table), Some(alias))),
        1 => (query, name()).prop_map(|(query, alias)| (Rows::Query(query), Some(alias))),
    ];
    (join, equal, rows).prop_map(|(join, equal, (rows, alias))| Source { join, equal, rows, alias })
}

fn select(query: impl Strategy<Value = Query> + 'static) -> impl Strategy<Value = Select> {
    let sources = prop::collection::vec(source(query), 0..3).prop_map(|mut sources| {
        if let Some(first) = sources.first_mut() {
            (first.join, first.equal) = (Join::Left, Equal::None);
        }
        sources
    });
    (prop::collection::vec(item(), 1..4), sources).prop_map(|(items, sources)| Select { items, sources })
}

fn query() -> impl Strategy<Value = Query> {
    let leaf = prop::collection::vec(select(Just(Query::default())), 1..2).prop_map(|mut selects| {
        selects.iter_mut().for_each(|select| select.sources.retain(|s| matches!(s.rows, Rows::Of(_))));
        selects.iter_mut().flat_map(|s| s.sources.first_mut()).for_each(|first| {
            (first.join, first.equal) = (Join::Left, Equal::None);
        });
        Query { ctes: Vec::new(), selects }
    });
    leaf.prop_recursive(2, 12, 3, |inner| {
        let cte = (name(), prop::collection::vec(name(), 0..3), inner.clone())
            .prop_map(|(name, columns, query)| Cte { name, columns, query });
        (prop::collection::vec(cte, 0..2), prop::collection::vec(select(inner), 1..3))
            .prop_map(|(ctes, selects)| Query { ctes, selects })
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String, between: &str) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(between)
}

fn names(names: &[String]) -> String {
    list(names, |name| quoted(name), ", ")
}

fn text(query: &Query) -> String {
    let cte = |cte: &Cte| {
        let columns =
            if cte.columns.is_empty() { String::new() } else { format!("({})", names(&cte.columns)) };
        format!("{}{columns} AS ({})", quoted(&cte.name), text(&cte.query))
    };
    let with =
        if query.ctes.is_empty() { String::new() } else { format!("WITH {} ", list(&query.ctes, cte, ", ")) };
    let selects = list(&query.selects, select_text, " UNION ALL ");
    format!("{with}{selects} ORDER BY 1 LIMIT 1")
}

fn select_text(select: &Select) -> String {
    let items = list(&select.items, item_text, ", ");
    let sources: String =
        select.sources.iter().enumerate().map(|(at, source)| source_text(at, source)).collect();
    let from = if sources.is_empty() { String::new() } else { format!(" FROM {sources}") };
    format!("SELECT {items}{from} WHERE a = (SELECT 1 FROM b) GROUP BY c HAVING count(*) > ')'")
}

fn item_text(item: &Item) -> String {
    match item {
        Item::All => "*".to_owned(),
        Item::AllOf(table) => format!("{}.*", quoted(table)),
        Item::Column { table, column, name } => {
            let table = table.as_ref().map(|table| format!("{}.", quoted(table))).unwrap_or_default();
            format!("{table}{} AS {}", quoted(column), quoted(name))
        }
        Item::Expression { name } if name.is_empty() => "coalesce(a, (SELECT b, c FROM d), ',')".to_owned(),
        Item::Expression { name } => format!("CASE WHEN a THEN 'b' ELSE c END {}", quoted(name)),
    }
}

fn source_text(at: usize, source: &Source) -> String {
    let natural = if source.equal == Equal::Natural { "NATURAL " } else { "" };
    let join = match source.join {
        Join::Left => "LEFT",
        Join::Right => "RIGHT",
        Join::Neither => "FULL OUTER",
    };
    let join = if at == 0 { String::new() } else { format!(" {natural}{join} JOIN ") };
    let rows = match &source.rows {
        Rows::Of(name) => quoted(name),
        Rows::Query(query) => format!("({})", text(query)),
        Rows::Joined(_) | Rows::Unknown => unreachable!("no query has these"),
    };
    let alias = source.alias.as_ref().map(|alias| format!(" AS {}", quoted(alias))).unwrap_or_default();
    let equal = match &source.equal {
        Equal::Using(columns) => format!(" USING ({})", names(columns)),
        Equal::None if at > 0 => " ON a.b = c.d AND (SELECT e FROM f)".to_owned(),
        _ => String::new(),
    };
    format!("{join}{rows}{alias}{equal}")
}

proptest! {
    #[test]
    fn queries_are_read_as_written(query in query()) {
        let sql = format!("CREATE VIEW \"v (\"(\"a)\", b) AS {}", text(&query));
        prop_assert_eq!(view_query(&sql), Some(query), "{}", sql);
    }
}
