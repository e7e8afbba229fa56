# What one client address may do: the rules that count and refuse, and the table of the counters.
#
# Counted by address, and by /64 network where addresses are free.
{
  # { requests, hashes, failedLogIns }, each { count; seconds; } or null.
  limits,
  # How many requests of a client may be under way at the same time.
  requestsPerAddress,
  # The gateways that count together, as peers.nix has them.
  counting,
}:
let
  errors = import ./errors.nix;
  requests = limits.requests or null;
  hashes = limits.hashes or null;
  failedLogIns = limits.failedLogIns or null;
  optionals = condition: list: if condition then list else [ ];

  tooMany =
    { seconds, ... }:
    message: condition:
    errors.refuse 429 {
      code = "RATE_LIMITED";
      message = "${message} Try again in ${toString seconds} second${if seconds == 1 then "" else "s"}.";
    }
    + " hdr retry-after ${toString seconds} if ${condition}";
  seconds = limit: if limit == null then 0 else limit.seconds;
  longest = builtins.foldl' (a: b: if a > b then a else b) 0;

  clients = counting.of table;
  requestsNow = clients.sum "requests" "sc_http_req_rate(0)" "table_http_req_rate";
  hashesNow = clients.sum "hashes" "sc_gpc1_rate(0)" "table_gpc1_rate";
  failedLogInsNow = clients.sum "failed" "sc_gpc0_rate(0)" "table_gpc0_rate";

  table = {
    name = "clients";
    key = "src,ipmask(32,64)";
    # An entry is kept while a request is under way, too.
    definition =
      "type ipv6 size 100k expire ${
        toString (
          2
          * longest (
            map seconds [
              { seconds = 1; }
              requests
              hashes
              failedLogIns
            ]
          )
        )
      }s store "
      + builtins.concatStringsSep "," (
        [ "conn_cur" ]
        ++ optionals (requests != null) [ "http_req_rate(${toString requests.seconds}s)" ]
        ++ optionals (hashes != null) [ "gpc1_rate(${toString hashes.seconds}s)" ]
        ++ optionals (failedLogIns != null) [ "gpc0_rate(${toString failedLogIns.seconds}s)" ]
      );
  };
in
{
  inherit table;

  # For the beginning: whatever comes counts, refused or not, so whoever goes on stays out.
  # `conn_cur` is the number of requests here, each from this rule on until the client has the whole answer.
  countRequests = [
    "http-request track-sc0 ${table.key} table ${clients.table}"
  ]
  ++ optionals (requests != null) (
    requestsNow.rules
    ++ [
      (tooMany requests "Too many requests from your address."
        "{ ${requestsNow.sample} gt ${toString requests.count} }"
      )
    ]
  )
  ++ [
    (tooMany { seconds = 1; } "Too many requests from your address are under way."
      "{ sc_conn_cur(0) gt ${toString requestsPerAddress} }"
    )
  ];

  # For the end: only what would go to a node now. A hash is counted when it is asked for, so that neither a crowd at once nor
  # who goes away before the answer gets more; the node's own word in the answer adds what could not be known before.
  countHashes =
    optionals (hashes != null) (
      hashesNow.rules
      ++ [
        (tooMany hashes "Too many passwords to hash from your address."
          "{ var(txn.may_hash) -m bool } { ${hashesNow.sample} ge ${toString hashes.count} }"
        )
      ]
    )
    ++ optionals (failedLogIns != null) (
      failedLogInsNow.rules
      ++ [
        (tooMany failedLogIns "Too many log-ins from your address have failed."
          "{ var(txn.may_hash) -m bool } { ${failedLogInsNow.sample} ge ${toString failedLogIns.count} }"
        )
      ]
    )
    ++ optionals (hashes != null) [
      "http-request sc-inc-gpc1(0) if { var(txn.may_hash) -m bool }"
      "http-response sc-inc-gpc1(0) if { res.hdr(x-auth-hashes) -m int ge 1 } !{ var(txn.may_hash) -m bool }"
      "http-response sc-inc-gpc1(0) if { res.hdr(x-auth-hashes) -m int ge 2 }"
    ]
    ++ optionals (failedLogIns != null) [
      "http-response sc-inc-gpc0(0) if { res.hdr(x-auth-outcome) -m str login-failed }"
    ];
}
