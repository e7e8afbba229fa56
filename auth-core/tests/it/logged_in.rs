//! A client that is logged in.

use serde_json::{Value, json};

use crate::node::{Answer, Node, log_in};

/// A client of a node, with an access token.
pub struct LoggedIn<'a> {
    node: &'a Node,
    authorization: String,
}

impl<'a> LoggedIn<'a> {
    pub fn new(node: &'a Node, token: &str) -> Self {
        let authorization = authorization(token);
        Self {
            node,
            authorization,
        }
    }

    pub fn post(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let authorization = [("authorization", self.authorization.as_str())];
        self.node.post(&[&authorization, headers].concat(), body)
    }

    pub fn graphql(&self, headers: &[(&str, &str)], query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        self.post(headers, body.to_string()).json()
    }

    pub fn log_in(&self, email: &str, password: &str) -> Value {
        let variables = json!({ "email": email, "password": password });
        self.graphql(&[], &log_in(), variables)
    }

    /// Who that is.
    pub fn me(&self) -> Value {
        self.graphql(&[], "{ me { email role } }", json!({}))
    }
}

/// The header `Authorization` that carries an access token.
pub fn authorization(token: &str) -> String {
    format!("Bearer {token}")
}
