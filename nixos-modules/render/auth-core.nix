# The service itself. Settings in, auth-core.toml as an attribute set out: NixOS and the lab have a writer of TOML each.
let
  inherit ((import ./defaults.nix).core) drainSeconds;
in
{
  # The name by which gateways, logs and spans know it.
  node,
  # "ADDRESS:PORT" on which gateways reach it.
  listen,
  maxConnections,
  # { certificate_file; key_file; } of TLS on it; null for plain HTTP.
  tls,
  # Who signs the tokens: the URL by which clients know the gateway.
  issuer,
  # Directory of the keys that sign tokens, and whether the first one is made there.
  keyDirectory,
  generateFirstKey,
  # As settings.database has it: { url; password_file; }.
  database,
  # "ADDRESS:PORT" of Zipkin; null for none.
  zipkin,
}:
{
  inherit node listen database;
  max_connections = maxConnections;
  drain_seconds = drainSeconds;
  log.format = "json";
  tokens = {
    inherit issuer;
    key_directory = keyDirectory;
    generate_first_key = generateFirstKey;
  };
}
// (if tls == null then { } else { inherit tls; })
// (if zipkin == null then { } else { tracing.zipkin_url = "http://${zipkin}/api/v2/spans"; })
