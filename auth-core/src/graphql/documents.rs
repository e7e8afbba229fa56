//! Documents that were parsed lately: clients send the same few again and again, with other variables.

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::parser::{self, parse_query};

use crate::recent::Recent;

/// Longest text whose document is kept, in bytes. As a document it takes a hundred times as much, if it is all fields.
const LONGEST: usize = 512;

/// Documents of one generation; two are kept, so 4 MiB is the most that strangers can fill.
const MOST: usize = 32;

/// Parses documents, and remembers some.
pub struct Documents(Recent<String, ExecutableDocument>);

impl Default for Documents {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Documents {
    /// The document of a query text, which must have passed [`super::check_brackets`].
    ///
    /// # Errors
    /// Where the text is not GraphQL.
    pub fn parse(&self, query: &str) -> Result<ExecutableDocument, parser::Error> {
        // What has a string in it may have a password or a token in it, which nobody must keep.
        if query.len() > LONGEST || query.contains('"') {
            return parse_query(query);
        }
        if let Some(document) = self.0.get(query) {
            return Ok(document);
        }
        let document = parse_query(query)?;
        self.0.keep(query.to_owned(), document.clone());
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_kept(documents: &Documents, query: &str) -> bool {
        documents.parse(query).unwrap();
        documents.0.get(query).is_some()
    }

    #[test]
    fn a_document_is_kept_unless_it_is_long_or_has_a_string_that_may_be_secret() {
        let documents = Documents::default();
        assert!(is_kept(
            &documents,
            "query($t: String!) { verifyToken(token: $t) { valid } }"
        ));
        assert!(!is_kept(
            &documents,
            "{ verifyToken(token: \"secret\") { valid } }"
        ));
        assert!(!is_kept(
            &documents,
            "{ verifyToken(token: \"\"\"secret\"\"\") { valid } }"
        ));
        assert!(!is_kept(
            &documents,
            &format!("{{ me {{ {} }} }}", "id ".repeat(LONGEST))
        ));
    }

    #[test]
    fn what_is_not_graphql_is_refused_each_time() {
        let documents = Documents::default();
        for _ in 0..2 {
            assert!(documents.parse("{").is_err());
        }
    }
}
