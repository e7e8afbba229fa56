//! The page on which one watches the stack break, `./dev watch`. The lab itself serves it, so it survives whatever is killed.
//!
//! `page.html` is all that a browser gets. [`server`] hands it out, streams the state to it as server-sent events and takes
//! what its buttons ask for; [`guard`] refuses requests that are not the page's own; [`observer`] gathers the state, [`requests`]
//! what the gateways' logs say of the last seconds, and [`load`] runs `authload`. Nothing is gathered while nobody looks.

mod guard;
mod load;
mod observer;
mod requests;
mod server;

pub use server::{Page, open};
