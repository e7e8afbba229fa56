# The users' own services behind the gateway: which requests go to which of them.
#
# A route is a prefix of paths, on one host or (without a host) on all that have no routes of their own. The longest prefix wins, and
# ends where a segment of the path ends. Its name in metrics and logs is its prefix with `:` for each `/`, for HAProxy allows none.
{
  # { PREFIX = { servers; stripPrefix; requireToken; roles; answerSeconds; idleSeconds; bodyBytes; }; }, as the options have it.
  routes,
  # { NAME = ADDRESS; } of the hosts that servers may be named by.
  addresses,
  # The gateways that count together, as peers.nix has them.
  counting ? null,
  # The authorities of clients' certificates; null for none.
  clientCa ? null,
  # Lines for the backend of a route that needs a token.
  remember ? [ ],
}:
let
  inherit (builtins)
    attrNames
    concatLists
    concatStringsSep
    filter
    head
    map
    match
    stringLength
    tail
    ;
  optionals = condition: list: if condition then list else [ ];
  errors = import ./errors.nix;

  nameOf = builtins.replaceStrings [ "/" ] [ ":" ];
  known = map (
    prefix:
    let
      parts = match "([^/]*)(/.*)" prefix;
    in
    routes.${prefix}
    // {
      name = nameOf prefix;
      host = head parts;
      path = head (tail parts);
    }
  ) (attrNames routes);
  longestFirst = builtins.sort (a: b: stringLength a.path > stringLength b.path) known;
  hosts = attrNames (
    builtins.listToAttrs (
      map (route: {
        name = route.host;
        value = null;
      }) (filter (route: route.host != "") known)
    )
  );

  choose =
    route:
    [ "acl at${route.name} path ${route.path}" ]
    ++ optionals (route.path != "/") [ "acl at${route.name} path -m beg ${route.path}/" ]
    ++ optionals (route.path == "/") [ "acl at${route.name} path -m beg /" ]
    ++ [
      "http-request set-var(txn.route) str(${route.name}) if at${route.name} ${
        if route.host != "" then
          "{ var(txn.host) -m str ${route.host} } "
        else if hosts != [ ] then
          "!host_with_routes "
        else
          ""
      }!public_path !{ var(txn.route) -m found }"
    ];

  # What a service would take for another path than the gateway does: encoded characters that need no encoding (RFC 3986, 6.2.2.2),
  # encoded or doubled separators, `.` and `..`, and what no path has.
  ambiguous = [
    "acl ambiguous_path path -m reg -i '%([46][1-9a-f]|[57][0-9a]|3[0-9b]|2[def]|5[cf]|7[ef]|[01][0-9a-f])'"
    "acl ambiguous_path path -m reg '%([^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)'"
    "acl ambiguous_path path -m reg '//|/\\.\\.?(/|$)'"
    "acl ambiguous_path path -m sub '\\' ;"
    "acl ambiguous_path url -m sub '#'"
    "${
      errors.refuse 400 {
        code = "BAD_REQUEST";
        message = "This path can be read in several ways: write it without needless encoding, empty segments, `.`, `..` and `;`.";
      }
    } if ambiguous_path !public_path"
  ];
  # Who asks is told to services by the gateway alone. Some services take `_` and `-` for the same.
  identity = [
    "# Of an absolute URI (RFC 9112, 3.2.2) the service gets what the gateway looked at."
    "http-request set-uri %[pathq] if routed"
    "http-request del-header ^x[^a-z0-9]auth[^a-z0-9] -m reg"
  ];

  server =
    address:
    let
      parts = import ./server-address.nix address;
      host = head parts;
      port = head (tail parts);
      ip = addresses.${host} or host;
      bracketed = if match ".*:.*" ip != null && match "\\[.*" ip == null then "[${ip}]" else ip;
    in
    weight:
    "server ${
      builtins.replaceStrings [ "[" "]" ] [ "" "" ] address
    } ${bracketed}:${port} weight ${toString weight}";

  # What the rules of each concern need: lines for the frontend, for the route's backend, and sections of their own.
  cors = import ./cors.nix;
  windows = import ./windows.nix counting;
  cache = import ./cache.nix;
  balance = import ./balance.nix;

  backend = route: if route.maintenance then maintained route else serving route;
  maintained = route: [
    ""
    "backend ${route.name}"
    "  ${
        errors.refuse 503 {
          code = "MAINTENANCE";
          message = "This service is being maintained. Try again later.";
        }
      } hdr retry-after 60"
  ];
  serving =
    route:
    [
      ""
      "backend ${route.name}"
      "  timeout server ${toString route.answerSeconds}s"
      "  # Of WebSockets, and of streams of events, which clients ask for by this type."
      "  timeout tunnel ${toString route.idleSeconds}s"
      "  http-request set-timeout server ${toString route.idleSeconds}s if { req.hdr(accept) -m sub text/event-stream }"
    ]
    ++ map (line: "  ${line}") (
      import ./addresses.nix route
      ++ (windows route).settings
      ++ optionals (route.bodyBytes != null) [
        "${
          errors.refuse 413 {
            code = "PAYLOAD_TOO_LARGE";
            message = "The body is longer than ${toString route.bodyBytes} bytes.";
          }
        } if { req.hdr(content-length) -m int gt ${toString route.bodyBytes} }"
        # A stream says nothing of its length. Its first byte tells it from a request without a body; a WebSocket has none to wait for.
        "acl sized req.hdr(content-length) -m found"
        "http-request wait-for-body time 10s at-least 1 if !sized !{ req.hdr(upgrade) -m found }"
        "${
          errors.refuse 411 {
            code = "LENGTH_REQUIRED";
            message = "Say by Content-Length how long the body is: there is a limit.";
          }
        } if !sized { req.body_size gt 0 } or { req.hdr(transfer-encoding) -m found }"
      ]
      ++ optionals (route.requireToken != false) remember
      ++ optionals (route.roles != [ ]) [
        "${errors.forbidden} unless { var(txn.role) -m str ${concatStringsSep " " route.roles} }${
          if route.apiKeys then " or { var(txn.api_key) -m found }" else ""
        }"
      ]
      ++ (cache route).settings
      ++ cors.settings route
      ++ optionals route.compress [
        "compression algo gzip"
        "compression type text/html text/css text/plain text/csv text/javascript application/javascript application/json application/graphql-response+json image/svg+xml"
      ]
      ++ optionals (route.stripPrefix && route.path != "/") [
        "http-request set-path /%[path,bytes(${toString (stringLength route.path + 1)})]"
      ]
      ++ [
        "http-response set-header x-served-by %s"
        "# What may have been executed is repeated where that is harmless (RFC 9110, 9.2.1)."
        "option redispatch 1"
        "retries ${toString (import ../defaults.nix).retries}"
        "retry-on conn-failure empty-response response-timeout"
        "http-request disable-l7-retry unless METH_GET or { method OPTIONS }"
        "http-request disable-l7-retry if { lua.retries_spent -m bool }"
      ]
      ++ (balance route).settings
      ++ builtins.attrValues (
        builtins.mapAttrs (
          address:
          {
            weight ? 100,
          }:
          server address weight + (balance route).ofServer address
        ) route.servers
      )
    )
    ++ (cache route).sections;
in
{
  # What is wrong with the settings, in words.
  problems = import ./route-problems.nix { inherit routes addresses clientCa; };
  # The hosts that routes name.
  inherit hosts;
  # The names of those that need a token, and of those whose token the core must confirm each time.
  withToken = map (route: route.name) (filter (route: route.requireToken != false) known);
  live = map (route: route.name) (filter (route: route.requireToken == "live") known);
  # The names of those whose clients have to show a certificate.
  withClientCertificate = map (route: route.name) (
    filter (route: route.requireClientCertificate) known
  );
  # The names of those that take API keys, and of those that take nothing else.
  withApiKey = map (route: route.name) (filter (route: route.apiKeys) known);
  withApiKeyAlone = map (route: route.name) (
    filter (route: route.apiKeys && route.requireToken == false) known
  );

  # For the beginning of the frontend.
  choose = optionals (known != [ ]) (
    optionals (hosts != [ ]) [
      "http-request set-var(txn.host) req.fhdr(host),field(1,:),lower"
      "acl host_with_routes var(txn.host) -m str ${concatStringsSep " " hosts}"
    ]
    ++ concatLists (map choose longestFirst)
    ++ [ "acl routed var(txn.route) -m found" ]
  );
  # For where errors are answered.
  refuse = optionals (known != [ ]) (ambiguous ++ identity);
  # What is counted of them.
  tables = concatLists (
    map (route: (windows route).tables) (filter (route: !route.maintenance) known)
  );
  # Where browsers of other origins may call.
  cors = map (route: {
    here = "{ var(txn.route) -m str ${route.name} }";
    inherit (route) cors;
  }) known;
  use = optionals (known != [ ]) [ "use_backend %[var(txn.route)] if routed" ];
  backends = concatLists (map backend known);
}
