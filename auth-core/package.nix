{
  lib,
  stdenv,
  callPackage,
  installShellFiles,
}:
callPackage ../nix/workspace-crate.nix { } {
  crate = "auth-core";
  files = [
    ../docs/dependencies.md
    ../docs/reference/errors.md
    ../docs/reference/logs.md
    ../docs/reference/metrics.md
    ../docs/reference/passwords.md
    ../docs/reference/tokens.md
    ../nixos-modules/render/defaults.nix
  ];
  # They need a PostgreSQL server.
  skippedTests = [ "postgres::" ];
  nativeBuildInputs = [ installShellFiles ];
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      $out/bin/auth-core completions $shell > auth-core.$shell
    done
    installShellCompletion auth-core.{bash,fish,zsh}
    mkdir manual
    $out/bin/auth-core man manual
    installManPage manual/*
  '';
  meta.description = "A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL";
}
