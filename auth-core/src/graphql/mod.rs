//! The GraphQL schema: the public face of [`crate::accounts`].

mod answers;
mod documents;
mod limits;
mod mutation;
mod query;

use std::sync::Arc;

use async_graphql::EmptySubscription;

pub use documents::Documents;
pub use limits::{INPUT_TYPES, Refusal, check_brackets, check_variables, select};

use crate::accounts::Accounts;

/// The executable schema.
pub type Schema = async_graphql::Schema<query::Query, mutation::Mutation, EmptySubscription>;

/// Builds the schema. Without introspection, unless it is for development (ASVS 5.0, 4.3.2).
pub fn schema(accounts: Arc<Accounts>, introspection: bool) -> Schema {
    let builder = builder().data(accounts);
    if introspection {
        return builder.finish();
    }
    builder.disable_introspection().finish()
}

/// The schema definition language text.
pub fn sdl() -> String {
    builder().disable_introspection().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<query::Query, mutation::Mutation, EmptySubscription> {
    Schema::build(query::Query, mutation::Mutation, EmptySubscription).disable_suggestions()
}
