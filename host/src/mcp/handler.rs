//! What the protocol asks of a server, for one caller.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value as Json;

use super::caller::Caller;
use super::instructions::instructions;
use super::{resources, told, tools};
use crate::answer::Answer;
use crate::engine::guarded;

/// The server, as one caller has it.
#[derive(Clone)]
pub struct Handler(pub Arc<Caller>);

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("sqlitrest", env!("CARGO_PKG_VERSION")).with_title("SQLitREST"),
            )
            .with_instructions(instructions(&self.0.settings, self.0.engine.config()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all(&self.0.settings).into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all(&self.0.settings)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = &self.0;
        let work = tools::call(caller, &request.name, request.arguments.unwrap_or_default());
        let called = tokio::select! {
            called = kept(caller, work) => called,
            // Nobody waits for it any more. What writes goes on all the same.
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("The call was cancelled", None)),
        };
        match called {
            Ok(Some(told)) => Ok(told.unwrap_or_else(|answer| told::failure(&answer)).into()),
            Err(broken) => Ok(told::failure(&broken).into()),
            Ok(None) => {
                let names: Vec<String> =
                    tools::all(&caller.settings).iter().map(|tool| tool.name.to_string()).collect();
                let message = format!("There is no tool of this name; there are {}", names.join(", "));
                Err(ErrorData::invalid_params(message, None))
            }
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let listed = kept(&self.0, resources::list(&self.0)).await.flatten();
        listed.map(ListResourcesResult::with_all_items).map_err(|answer| error(&answer))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match kept(&self.0, resources::read(&self.0, &request.uri)).await {
            Ok(Some(read)) => read.map(ReadResourceResponse::from).map_err(|answer| error(&answer)),
            Err(broken) => Err(error(&broken)),
            Ok(None) => {
                let message = "There is no resource of this address; there are sqlitrest://schema and sqlitrest://schema/RELATION";
                Err(ErrorData::resource_not_found(message, None))
            }
        }
    }
}

/// What comes of work for a caller.
///
/// # Errors
/// The answer where it panicked: the agent would wait for one for ever.
async fn kept<T>(caller: &Caller, work: impl Future<Output = T>) -> Result<T, Answer> {
    guarded(caller.scope(work)).await.ok_or_else(Answer::internal)
}

/// What resources have in place of a tool's error.
fn error(answer: &Answer) -> ErrorData {
    let problem: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    // Clients show the message alone.
    let words = ["message", "hint"].into_iter().filter_map(|name| problem.get(name)?.as_str());
    let message = match words.collect::<Vec<&str>>().join(". ") {
        empty if empty.is_empty() => "It cannot be read".to_owned(),
        message => message,
    };
    match answer.status {
        404 => ErrorData::resource_not_found(message, Some(problem)),
        400..500 => ErrorData::invalid_params(message, Some(problem)),
        _ => ErrorData::internal_error(message, Some(problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::caller::tests::caller;

    #[tokio::test]
    async fn what_panics_is_answered() {
        let (_scratch, caller) = caller("mcp-panics");
        let broken: Result<(), Answer> = kept(&caller, async { panic!("on purpose") }).await;
        assert_eq!(broken.map_err(|answer| answer.status), Err(500));
        assert_eq!(kept(&caller, async { 7 }).await, Ok(7));
    }
}
