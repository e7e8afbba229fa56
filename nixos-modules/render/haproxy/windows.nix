# How often one client may call a route: so many requests in each of one or two windows of time, by address or by account.
#
# Told to clients as draft-ietf-httpapi-ratelimit-headers has it. A refused request does not count, so a client that polls too often gets
# what the limit allows, and not nothing. Who comes at once with others is counted before it is judged: exactly the limit passes.
#
# First argument: the gateways that count together, as peers.nix has them.
counting: route:
let
  inherit (builtins)
    concatLists
    concatStringsSep
    elemAt
    genList
    length
    ;
  errors = import ./errors.nix;
  inherit (route.limits) by windows;
  table = {
    name = "limits${route.name}";
    key =
      {
        address = "src,ipmask(32,64)";
        subject = "var(txn.subject)";
      }
      .${by};
    definition = "type ${if by == "address" then "ipv6" else "string len 64"} size 100k expire ${
      toString (
        2 * builtins.foldl' (a: b: if a > b then a else b) 0 (map (window: window.seconds) windows)
      )
    }s store ${
      concatStringsSep "," (
        map (window: "gpc${toString window.number}_rate(${toString window.seconds}s)") numbered
      )
    }";
  };
  clients = counting.of table;
  many = {
    address = "from your address";
    subject = "of this account or API key";
  };

  numbered = genList (number: elemAt windows number // { inherit number; }) (length windows);
  each = make: concatLists (map make numbered);
  told = make: concatStringsSep ", " (map make numbered);
  name = window: ''"${toString window.seconds}s"'';
  count =
    window:
    clients.sum "window${toString window.number}" "sc_gpc${toString window.number}_rate(2)"
      "table_gpc${toString window.number}_rate";
  used = window: (count window).sample;
  left = window: "txn.left${toString window.number}";
  is = window: condition: "{ ${used window} ${condition} ${toString window.count} }";
  full = window: "{ var(txn.full${toString window.number}) -m bool }";
in
if windows == [ ] then
  {
    settings = [ ];
    tables = [ ];
  }
else
  {
    settings = [
      "http-request track-sc2 ${table.key} table ${clients.table}"
    ]
    ++ each (window: (count window).rules)
    ++ map (
      window: "http-request set-var(txn.full${toString window.number}) bool(true) if ${is window "ge"}"
    ) numbered
    ++ map (
      window:
      "http-request sc-inc-gpc${toString window.number}(2) unless ${concatStringsSep " or " (map full numbered)}"
    ) numbered
    ++ each (window: [
      "http-request set-var(txn.used) ${used window}"
      "http-request set-var(${left window}) int(${toString window.count}),sub(txn.used)"
      "http-request set-var(${left window}) int(0) if ${is window "gt"}"
    ])
    ++ map (
      window:
      errors.refuse 429 {
        code = "RATE_LIMITED";
        message = "Too many requests ${many.${by}}: ${toString window.count} are allowed in ${toString window.seconds} seconds.";
      }
      + " hdr retry-after ${toString window.seconds} if ${full window} or ${is window "gt"}"
    ) numbered
    ++ [
      "http-after-response set-header ratelimit-policy '${
        told (window: "${name window};q=${toString window.count};w=${toString window.seconds}")
      }'"
      "http-after-response set-header ratelimit '${
        told (window: "${name window};r=%[var(${left window})]")
      }'"
    ];
    tables = [ table ];
  }
