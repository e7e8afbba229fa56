//! Which version this is.

/// The release, and the commit that it was built of. Where cargo is not told it, Nix writes it into the finished program
/// (`nix/with-commit.nix`, which looks for this text), so that a commit by itself compiles nothing.
pub static VERSION: &str = match option_env!("AUTHSTACK_VERSION") {
    Some(version) => version,
    None => concat!(env!("CARGO_PKG_VERSION"), " (commit not-recorded)"),
};
