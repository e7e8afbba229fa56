{ callPackage }:
callPackage ../nix/workspace-crate.nix { } {
  crate = "auth-core";
  files = [
    ../docs/reference/errors.md
    ../docs/reference/passwords.md
  ];
  meta.description = "A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL";
}
