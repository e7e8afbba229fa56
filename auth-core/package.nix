{ callPackage }:
callPackage ../nix/workspace-crate.nix { } {
  crate = "auth-core";
  meta.description = "A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL";
}
