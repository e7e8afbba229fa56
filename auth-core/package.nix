{ callPackage }:
callPackage ../nix/workspace-crate.nix { } {
  crate = "auth-core";
  files = [
    ../docs/dependencies.md
    ../docs/reference/errors.md
    ../docs/reference/logs.md
    ../docs/reference/metrics.md
    ../docs/reference/passwords.md
    ../docs/reference/tokens.md
  ];
  # They need a PostgreSQL server.
  skippedTests = [ "postgres::" ];
  meta.description = "A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL";
}
