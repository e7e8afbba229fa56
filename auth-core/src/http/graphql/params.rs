//! The parameters of a GraphQL request, by POST or GET.

use async_graphql::parser::types::OperationType;
use async_graphql::{Pos, Request, ServerError, Variables, parser};
use serde::Deserialize;

use super::super::answer::Failure;
use crate::graphql::{Documents, check_brackets, check_variables, select};
use crate::operation::Operation;

/// The parameters of a request; others are ignored, as the specification asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    query: String,
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    // There is none that we know: it is only checked to be a map.
    #[serde(rename = "extensions")]
    _extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Params {
    pub(super) fn from_json(body: &[u8]) -> Result<Self, Failure> {
        // By way of a map, for a struct could be read from an array too, and that is a batch.
        serde_json::from_slice::<serde_json::Map<_, _>>(body)
            .and_then(|map| serde_json::from_value(map.into()))
            .map_err(|error| {
                Failure::bad_request(format!(
                    "The body is not a GraphQL request in JSON: {}.",
                    kind(&error)
                ))
            })
    }

    pub(super) fn from_query(query: &str) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Encoded {
            query: String,
            operation_name: Option<String>,
            variables: Option<String>,
            extensions: Option<String>,
        }
        let encoded: Encoded = serde_urlencoded::from_str(query).map_err(|_| {
            Failure::bad_request("The URL has no parameter `query`, or a wrong one.")
        })?;
        let map = |text: Option<String>| {
            text.map(|text| serde_json::from_str(&text))
                .transpose()
                .map_err(|_| {
                    Failure::bad_request(
                        "The parameters `variables` and `extensions` must be JSON objects.",
                    )
                })
        };
        Ok(Self {
            query: encoded.query,
            operation_name: encoded.operation_name,
            variables: map(encoded.variables)?,
            _extensions: map(encoded.extensions)?,
        })
    }

    /// Parses the document and checks it against our bounds. A refusal here is a GraphQL error.
    pub(super) fn into_request(
        self,
        documents: &Documents,
        introspection: bool,
    ) -> Result<(OperationType, Operation, Request), ServerError> {
        let refused = |refusal: &str| ServerError::new(refusal, None::<Pos>);
        check_brackets(&self.query).map_err(refused)?;
        let document = documents.parse(&self.query).map_err(unquoted)?;
        let (kind, operation) =
            select(&document, self.operation_name.as_deref(), introspection).map_err(refused)?;
        let variables = self.variables.unwrap_or_default();
        check_variables(&variables).map_err(refused)?;
        let variables = Variables::from_json(variables.into());
        let mut request = Request::new(self.query).variables(variables);
        request.operation_name = self.operation_name;
        request.set_parsed_query(document);
        Ok((kind, operation, request))
    }
}

/// What is wrong with the document, without the line that the parser quotes before it says so: a password may be in it.
fn unquoted(error: parser::Error) -> ServerError {
    let mut error = ServerError::from(error);
    let last = error.message.lines().next_back().unwrap_or_default();
    let wrong = last.trim_start_matches([' ', '=']);
    error.message = format!("The query is not a GraphQL document: {wrong}.");
    error
}

/// What is wrong with the JSON, without quoting it.
fn kind(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // "invalid type: string "…", expected a map"
            let expected = text.rfind(", expected ").map(|found| &text[found + 2..]);
            expected.unwrap_or(&text).to_owned()
        }
        _ => format!(
            "invalid JSON at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}
