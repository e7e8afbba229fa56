{ callPackage }:
callPackage ../nix/workspace-crate.nix { } {
  crate = "auth-core";
  files = [
    ../docs/dependencies.md
    ../docs/reference/errors.md
    ../docs/reference/passwords.md
    ../docs/reference/tokens.md
  ];
  meta.description = "A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL";
}
