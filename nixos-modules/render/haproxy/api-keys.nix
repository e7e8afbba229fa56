# API keys of machines, checked by the gateway before a request reaches a route that takes them.
#
# The gateway knows SHA-256 of each, and which routes it is good for: `auth-core keys follow` writes the map and replaces it while HAProxy
# runs. Who sends a key is judged by it alone, whatever token comes with it.
{
  # The names of the routes that take keys, and of those of them that take nothing else.
  withApiKey,
  withApiKeyAlone,
  # The directory with api-keys.map: a line `DIGEST NAME` for each key, and `DIGEST@ROUTE NAME` for each route that it is good for.
  keyDirectory,
  # The socket by which the map is replaced. Since HAProxy 3.4 that takes all rights.
  runtimeSocket,
}:
let
  errors = import ./errors.nix;
  names = builtins.concatStringsSep " ";
  file = "${keyDirectory}/api-keys.map";
in
{
  global = [ "stats socket ${runtimeSocket} mode 600 level admin" ];

  rules = [
    "acl key_route var(txn.route) -m str ${names withApiKey}"
    "acl key_sent req.fhdr(x-api-key) -m found"
    "http-request set-var(txn.key_digest) req.fhdr(x-api-key),sha2(256),hex,lower if key_route { req.fhdr_cnt(x-api-key) eq 1 } { req.fhdr(x-api-key) -m len 1:100 }"
    "http-request set-var(txn.api_key) var(txn.key_digest),map(${file}) if { var(txn.key_digest) -m found }"
    "${errors.unauthenticated.apiKey} if key_route key_sent !{ var(txn.api_key) -m found }"
  ]
  ++ (
    if withApiKeyAlone == [ ] then
      [ ]
    else
      [
        "${errors.unauthenticated.apiKey} if { var(txn.route) -m str ${names withApiKeyAlone} } !{ var(txn.api_key) -m found }"
      ]
  )
  ++ [
    "${errors.outOfScope} if { var(txn.api_key) -m found } !{ var(txn.key_digest),concat(@,txn.route),map(${file}) -m found }"
    "http-request set-var(txn.subject) str(api-key/),concat(,txn.api_key) if { var(txn.api_key) -m found }"
    "http-request set-header x-auth-subject %[var(txn.subject)] if { var(txn.api_key) -m found }"
    "# The service has no use for the key itself."
    "http-request del-header x-api-key if key_route"
  ];
}
