//! HTTP: from the connection to the path, and for `/graphql` on to the request that it carries.

mod answer;
mod body;
mod graphql;
pub mod panics;
mod routes;
pub mod server;

pub use answer::{Answer, Failure};
pub use routes::route;
