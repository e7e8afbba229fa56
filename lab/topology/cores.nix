# The auth-core nodes.
stack:
let
  inherit (stack)
    address
    databasePart
    databaseUrl
    replicaUrl
    defaults
    directory
    http
    issuer
    lab
    nodeScheme
    nodes
    onPostgres
    optionals
    own
    port
    programs
    render
    wanted
    ;

  authNode = node: {
    inherit (node) name;
    kind = "auth-core";
    url = "${nodeScheme}://${node.address}";
    listens = [ node.address ];
    files."auth-core.toml" = toml (
      import (render + "/auth-core.nix") {
        node = node.name;
        listen = node.address;
        inherit (defaults.core) maxConnections;
        tls =
          if lab.internalTls then
            {
              certificate_file = "${directory}/keys/nodes.pem";
              key_file = "${directory}/keys/nodes-key.pem";
            }
          else
            null;
        inherit issuer;
        keyDirectory = "${directory}/keys/ring";
        generateFirstKey = false;
        database =
          if onPostgres then
            {
              url = databaseUrl;
              password_file = "${directory}/keys/postgres-password";
            }
            // (if replicaUrl == null then { } else { replica_url = replicaUrl; })
          else
            { url = "sqlite:${directory}/data/auth.db"; };
        zipkin = if wanted "zipkin" then "${address.zipkin}:${port.zipkin}" else null;
      }
      // (if lab.scrypt == null then { } else { password.scrypt = lab.scrypt; })
    );
    after = optionals onPostgres [ databasePart ];
    needs = [ "auth-core" ];
    command = [
      programs.auth-core
      "serve"
      "--config"
      "${own node.name}/auth-core.toml"
    ];
    ready = http "${nodeScheme}://${node.address}/readyz";
  };

  # Written out by hand as builtins has no toTOML: `key = value`, with nested sets as inline tables, in which JSON's values are TOML's.
  toml =
    let
      value =
        v:
        if builtins.isAttrs v then
          "{ ${builtins.concatStringsSep ", " (builtins.attrValues (builtins.mapAttrs pair v))} }"
        else
          builtins.toJSON v;
      pair = key: v: "${key} = ${value v}";
    in
    set: builtins.concatStringsSep "\n" (builtins.attrValues (builtins.mapAttrs pair set)) + "\n";
in
map authNode nodes
