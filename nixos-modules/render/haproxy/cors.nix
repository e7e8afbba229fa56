# Cross-origin requests of browsers to a route (CORS, https://fetch.spec.whatwg.org): the gateway answers preflights, and says which
# pages may read an answer. What the service says of it does not pass.
let
  inherit (builtins)
    concatLists
    concatStringsSep
    filter
    map
    ;
  errors = import ./errors.nix;
  optionals = condition: list: if condition then list else [ ];
  list = concatStringsSep ", ";

  preflightsTo =
    { here, cors }:
    [
      "http-request set-var(txn.cors) bool(true) if ${here}"
      "http-request set-var(txn.cors_origin) req.fhdr(origin) if ${here} { req.fhdr_cnt(origin) eq 1 } { req.fhdr(origin) -m str ${concatStringsSep " " cors.origins} }"
    ]
    ++ optionals cors.credentials [ "http-request set-var(txn.cors_credentials) bool(true) if ${here}" ]
    ++ optionals (cors.exposeHeaders != [ ]) [
      "http-request set-var-fmt(txn.cors_expose) \"${list cors.exposeHeaders}\" if ${here}"
    ]
    ++ [
      "${
        errors.refuse 403 {
          code = "ORIGIN_NOT_ALLOWED";
          message = "Pages of this origin may not call this service.";
        }
      } if ${here} preflight !{ var(txn.cors_origin) -m found }"
      (
        "http-request return status 204 hdr access-control-allow-methods \"${list cors.methods}\""
        + (if cors.headers == [ ] then "" else " hdr access-control-allow-headers \"${list cors.headers}\"")
        + " hdr access-control-max-age ${toString cors.maxAgeSeconds} if ${here} preflight"
      )
    ];
in
{
  # For the frontend, before tokens are asked for: a preflight has none. Of [ { here; cors; } ], each with the condition for its requests.
  preflights =
    places:
    let
      open = filter (place: place.cors != null) places;
      allowed = "{ var(txn.cors_origin) -m found }";
    in
    optionals (open != [ ]) (
      [
        "http-request set-var(txn.preflight) bool(true) if METH_OPTIONS { req.fhdr(origin) -m found } { req.fhdr(access-control-request-method) -m found }"
        "acl preflight var(txn.preflight) -m bool"
        "http-after-response set-header access-control-allow-origin %[var(txn.cors_origin)] if ${allowed}"
        "http-after-response set-header access-control-allow-credentials true if ${allowed} { var(txn.cors_credentials) -m bool }"
        "http-after-response set-header access-control-expose-headers %[var(txn.cors_expose)] if ${allowed} { var(txn.cors_expose) -m found }"
        "http-after-response add-header vary origin if { var(txn.cors) -m bool }"
      ]
      ++ concatLists (map preflightsTo open)
    );

  # For the backend of a route.
  settings =
    route: optionals (route.cors != null) [ "http-response del-header access-control- -m beg" ];
}
