//! OpenAPI 3.0 and 3.1 (<https://spec.openapis.org/oas/v3.1.0.html>): all of the grammar that a document can hold. The two differ in how a
//! schema says null, an exclusive end of a range and an example, which `types` knows.

mod function;
mod parameters;
mod rows;
mod table;

use serde_json::Value as Json;

use super::json::{Members, list};
use super::names::{function_path, path};
use super::place::Place;
use super::seen::Seen;
use super::template::{Fill, Templates};
use super::types::{add_example, add_type};
use super::{Described, add_info};
use crate::config::OpenApiVersion;

/// The words that are the same in every document.
pub(super) const TEMPLATES: &str = include_str!("templates.json");

/// What stands in every document, whatever the schema.
pub(super) const COMPONENTS: &str = include_str!("components.json");

/// Where components are.
const ROOT: &[&str] = &["components"];

/// What the parts of a document are made with.
struct Context<'a> {
    seen: &'a Seen<'a>,
    version: OpenApiVersion,
    templates: Templates,
    /// The headers that name the schema, where requests have to.
    accept_profile: String,
    content_profile: String,
}

/// The document.
#[inline(never)]
pub(super) fn document(seen: &Seen<'_>, described: &Described<'_>) -> String {
    let templates = Templates::of(TEMPLATES, ROOT);
    let profile = |name: &str| match described.profile {
        Some(schema) => {
            let mut values = Fill::default();
            values.text("name", name);
            values.text("schema", schema);
            templates.fill("profile", &values)
        }
        None => String::new(),
    };
    let (accept_profile, content_profile) = (profile("Accept-Profile"), profile("Content-Profile"));
    let context = Context { seen, version: described.version, templates, accept_profile, content_profile };
    let is_3_0 = described.version == OpenApiVersion::V3_0;
    let schemes = security_schemes(&context);
    let mut values = Fill::default();
    add_info(seen.config, &mut values);
    values.text("openapi", if is_3_0 { "3.0.3" } else { "3.1.0" });
    values.text("url", &Place::of(seen.config, described.host).url());
    values.json("security", security(seen, &schemes));
    values.json("tags", tags(&context));
    values.json("paths", paths(&context));
    values.json("components", components(&context, &schemes));
    context.templates.fill("document", &values)
}

impl Context<'_> {
    /// What every operation may have.
    #[inline(never)]
    fn values(&self) -> Fill {
        let mut values = Fill::default();
        values.json("accept_profile", self.accept_profile.clone());
        values.json("content_profile", self.content_profile.clone());
        values
    }

    /// An object with an example, which is JSON.
    #[inline(never)]
    fn with_example(&self, object: &str, example: String) -> String {
        let mut members = Members::default();
        members.spliced(object);
        add_example(self.version, &mut members, example);
        members.object()
    }
}

#[inline(never)]
fn paths(context: &Context<'_>) -> String {
    let mut paths = Members::default();
    paths.json("/", &context.templates.fill("root", &context.values()));
    for table in &context.seen.tables {
        paths.json(&path(&table.relation.name), &table::path_item(context, table));
    }
    for named in &context.seen.functions {
        paths.json(&function_path(named.name), &function::path_item(context, named));
    }
    paths.json(crate::batch::PATH, &context.templates.fill("batch", &context.values()));
    paths.object()
}

/// Which of the schemes a request needs: any one, or none where there is a role for who does not sign in.
#[inline(never)]
fn security(seen: &Seen<'_>, schemes: &[(&'static str, String)]) -> String {
    let mut all = Vec::new();
    if !schemes.is_empty() && seen.config.api.anonymous_role.is_some() {
        all.push("{}".to_owned());
    }
    for (name, _) in schemes {
        let mut scheme = Members::default();
        scheme.json(name, "[]");
        all.push(scheme.object());
    }
    list(&all)
}

#[inline(never)]
fn security_schemes(context: &Context<'_>) -> Vec<(&'static str, String)> {
    let Some(auth) = context.seen.config.signing_in() else { return Vec::new() };
    let all = [
        ("jwt", auth.jwt().map(|_| "")),
        ("cookie", auth.jwt().and_then(|jwt| jwt.cookie.as_deref())),
        ("apiKey", auth.apikey().map(|keys| keys.header.as_str())),
        ("basic", auth.basic().map(|_| "")),
    ];
    let mut schemes = Vec::new();
    for (scheme, name) in all {
        if let Some(name) = name {
            schemes.push((scheme, context.templates.with(scheme, "name", name)));
        }
    }
    schemes
}

#[inline(never)]
fn tags(context: &Context<'_>) -> String {
    let seen = context.seen;
    let mut all: Vec<(String, &str)> = vec![("Introspection".to_owned(), "The description of the API.")];
    for table in &seen.tables {
        all.push((table.relation.name.clone(), seen.comment(&table.relation.name)));
    }
    for named in &seen.functions {
        all.push(("(rpc) ".to_owned() + named.name, seen.function_comment(named)));
    }
    all.push(("Batch".to_owned(), "Several requests in one transaction."));
    let mut tags = Vec::new();
    for (at, (name, description)) in all.iter().enumerate() {
        // A table may be called like one of ours.
        if all.iter().take(at).any(|(known, _)| known == name) {
            continue;
        }
        let mut values = Fill::default();
        values.text("name", name);
        values.some("description", description);
        tags.push(context.templates.fill("tag", &values));
    }
    list(&tags)
}

/// The members of components that are being collected.
#[derive(Default)]
struct Components {
    schemas: Members,
    parameters: Members,
    responses: Members,
}

#[inline(never)]
fn components(context: &Context<'_>, schemes: &[(&'static str, String)]) -> String {
    let shared = Templates::of(COMPONENTS, ROOT);
    let mut found = Components::default();
    let problem = context.templates.fill("problem", &Fill::default());
    found.responses.spliced(&shared.with_json("responses", "error", problem));
    found.parameters.all(shared.get("parameters"));
    match shared.get("schemas") {
        Some(schemas) if context.version == OpenApiVersion::V3_0 => {
            found.schemas.all(Some(&with_one_example(schemas)));
        }
        schemas => found.schemas.all(schemas),
    }
    let mut hint = Members::default();
    add_type(context.version, "string", true, &mut hint);
    hint.text("description", "What to do about it.");
    found.schemas.json("api.Error", &context.templates.with_json("error", "hint", hint.object()));
    parameters::add_preferences(context, &mut found.parameters);
    for table in &context.seen.tables {
        rows::add_schemas(context, table, &mut found.schemas);
        parameters::add(context, table, &mut found);
        table::add_responses(context, table, &mut found.responses);
    }
    for named in &context.seen.functions {
        function::add_response(context, named, &mut found.responses);
    }
    let mut headers = Members::default();
    headers.all(shared.get("headers"));
    let mut components = Members::default();
    components.json("schemas", &found.schemas.object());
    components.json("parameters", &found.parameters.object());
    components.json("headers", &headers.object());
    components.json("responses", &found.responses.object());
    let mut all = Members::default();
    schemes.iter().for_each(|(name, scheme)| all.json(name, scheme));
    if !all.is_empty() {
        components.json("securitySchemes", &all.object());
    }
    components.object()
}

/// Schemas with an `example` in place of `examples`, of which 3.0 knows nothing.
#[inline(never)]
fn with_one_example(schemas: &Json) -> Json {
    let mut schemas = schemas.clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(|schemas| schemas.values_mut()) {
        let example = schema.get("examples").and_then(|examples| examples.get(0)).cloned();
        if let (Some(example), Some(schema)) = (example, schema.as_object_mut()) {
            schema.remove("examples");
            schema.insert("example".to_owned(), example);
        }
    }
    schemas
}
