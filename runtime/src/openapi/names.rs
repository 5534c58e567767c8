//! Names of any script, as the places of a document allow them.

use crate::query_params::percent_encode;

/// A name as the key of a component, of which OpenAPI 3 wants letters, digits, `.`, `-` and `_` alone. Each other character is its code
/// between dashes, and so is a dash or a point, so that no two names become one and a point can stand between names.
#[inline(never)]
pub(super) fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            key.push(c);
        } else {
            key.push_str(&format!("-{:x}-", u32::from(c)));
        }
    }
    key
}

/// Two names with a point between them.
#[inline(never)]
pub(super) fn dotted(one: &str, other: &str) -> String {
    [one, ".", other].concat()
}

/// The path of a relation.
pub(super) fn path(relation: &str) -> String {
    "/".to_owned() + &percent_encode(relation)
}

/// The path of a function.
pub(super) fn function_path(name: &str) -> String {
    "/rpc/".to_owned() + &percent_encode(name)
}

/// What the parameters of a query string are called that are no filters.
const RESERVED: [&str; 8] = ["select", "columns", "on_conflict", "order", "limit", "offset", "and", "or"];

/// Whether a parameter of this name is no filter and no argument, whatever columns there are.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A column as it is written in a query: in quotes where it would be read otherwise without.
#[inline(never)]
pub(super) fn in_query(column: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    if column.chars().all(is_plain) && !column.is_empty() && !is_reserved(column) {
        return column.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in column.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// A text in a regular expression (ECMA-262) that means itself.
#[inline(never)]
pub(super) fn in_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\^$.|?*+()[]{}/".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn names_of_any_script() {
        assert_eq!(key("Order Details"), "Order-20-Details");
        assert_eq!(key("a.b-c/日"), "a-2e-b-2d-c-2f--65e5-");
        assert_eq!(path("a/b {c}"), "/a%2Fb%20%7Bc%7D");
        assert_eq!(in_query("größe"), "größe");
        assert_eq!(in_query("order"), "\"order\"");
        assert_eq!(in_query("a\"b\\c.d"), "\"a\\\"b\\\\c.d\"");
        assert_eq!(in_pattern("a.b(c)"), "a\\.b\\(c\\)");
    }

    proptest! {
        #[test]
        fn no_two_names_become_one(names in proptest::collection::vec("[a-c0-2._ -]{0,4}", 30)) {
            let mut keys = BTreeMap::new();
            for name in names {
                if let Some(other) = keys.insert(key(&name), name.clone()) {
                    prop_assert_eq!(other, name);
                }
            }
        }
    }
}
