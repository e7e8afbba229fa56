# The gateway: HAProxy terminates TLS and spreads requests over the auth-core nodes.
#
# Settings in, the text of haproxy.cfg out. Written for HAProxy 2.6 and checked on 3.x: no keyword that only one of them knows.
{
  # "ADDRESS:PORT" on which clients reach the gateway over TLS.
  listen,
  # "ADDRESS:PORT" of the statistics page (/stats) and the metrics (/metrics); never public.
  statsListen,
  # PEM file with the gateway's certificate chain and private key.
  certificate,
  # The auth-core nodes: [ { name; address = "ADDRESS:PORT"; weight ? 100; } ].
  nodes,
  # Where log lines go, in HAProxy's own words.
  log ? (import ./haproxy/log.nix).target "stdout",
  # The socket of what reports the gateway's spans, which reads the log, too; null without a Zipkin.
  spans ? null,
  # Lines added to the `global` section, such as the admin socket's.
  extraGlobal ? [ ],
  # The names and addresses under which clients know the gateway; requests for others are refused. Their port is not looked at.
  hosts,
  # "ADDRESS:PORT" that answers plain HTTP with the way to HTTPS; null for none.
  listenPlain ? null,
  # ACME clients that prove over plain HTTP that the domain is ours: [ { name; address = "ADDRESS:PORT"; } ], each gateway's own.
  acmeChallenge ? [ ],
  # The gateways that count together, this one included: { self = NAME; all = [ { name; address = "ADDRESS:PORT"; } ]; }, each with where it
  # listens for the others; null for one alone.
  gateways ? null,
  # The path of a file in haproxy/, by its name.
  lua,
  # The rest is in defaults.nix, each with its reason.
  # How many connections are held open.
  connections,
  # How long a node may take for an answer.
  answerSeconds,
  # Which of Mozilla's profiles of TLS: "intermediate" or "modern".
  tlsProfile,
  # PEM file with the certificate authorities whose clients may show a certificate, null for none; and whether each client has to.
  clientCa,
  requireClientCertificate,
  # How long browsers shall insist on HTTPS (RFC 6797), in seconds; 0 says nothing of it.
  hstsSeconds,
  # What one client address may do before it is told to wait: { requests, hashes, failedLogIns }, each { count; seconds; } or null.
  limits,
  # Pages of which origins may call the API: { origins; methods; headers; exposeHeaders; credentials; maxAgeSeconds; }, or null for none.
  cors,
  # The users' own services: haproxy/routes.nix has their shape.
  routes,
  # { NAME = ADDRESS; } of the hosts that their servers may be named by.
  addresses ? { },
  # PEM file with the certificate authorities of the nodes' certificates, each for the node's name; null where nodes speak plain HTTP.
  coreCa ? null,
  # How tokens and API keys are checked, where a route needs them: { issuer; keyDirectory; askCore; askSocket; runtimeSocket; } as
  # haproxy/edge-auth.nix and haproxy/api-keys.nix have them.
  edge ? { },
}:
let
  # Each computes a hash before its outcome is known.
  hashingMutations = [
    "signUp"
    "logIn"
    "changePassword"
    "resetPassword"
    "deleteAccount"
  ];
  optionals = condition: list: if condition then list else [ ];
  publicPaths = "/graphql /.well-known/jwks.json";
  # For rules about what the core answers alone.
  toCore = if hasRoutes then "!routed " else "";

  lines = builtins.concatStringsSep "\n";
  indented = texts: lines (map (text: "  ${text}") texts);

  server =
    {
      name,
      address,
      weight ? 100,
    }:
    "server ${name} ${address} weight ${toString weight}${
      if coreCa == null then
        ""
      else
        " ssl verify required ca-file ${coreCa} sni str(${name}) check-sni ${name} verifyhost ${name}"
    }";

  errors = import ./haproxy/errors.nix;
  logging = import ./haproxy/log.nix;
  routing = import ./haproxy/routes.nix {
    inherit
      routes
      addresses
      counting
      clientCa
      ;
    inherit (edgeAuth) remember;
  };
  edgeAuth =
    if routing.withToken == [ ] then
      {
        global = [ ];
        rules = [ ];
        remember = [ ];
        sections = [ ];
      }
    else
      import ./haproxy/edge-auth.nix (
        (import ./defaults.nix).edge
        // removeAttrs edge [ "runtimeSocket" ]
        // {
          inherit (routing) withToken live;
        }
      );
  apiKeys =
    if routing.withApiKey == [ ] then
      {
        global = [ ];
        rules = [ ];
      }
    else
      import ./haproxy/api-keys.nix {
        inherit (routing) withApiKey withApiKeyAlone;
        inherit (edge) keyDirectory runtimeSocket;
      };
  hasRoutes = routes != { };
  inherit (import ./defaults.nix) retries waitForNodeSeconds;
  clientCertificates = import ./haproxy/client-certificates.nix {
    inherit clientCa requireClientCertificate;
    inherit (routing) withClientCertificate;
  };
  counting = import ./haproxy/peers.nix { inherit gateways; };
  limiting = import ./haproxy/limits.nix {
    inherit limits counting;
    inherit (connections) requestsPerAddress;
  };

  # Refused before TLS, which would cost both sides much more.
  fewConnections = [
    "tcp-request connection track-sc1 src,ipmask(32,64) table connections"
    "tcp-request connection reject if { sc_conn_cur(1) gt ${toString connections.perAddress} }"
  ];
  connectionTable = [
    ""
    "backend connections"
    "  stick-table type ipv6 size 100k expire 60s store conn_cur"
  ];

  # The whole of what the client says is compared, so nothing is left in it on which we and a node might disagree.
  ownHosts = [
    "acl own_host req.fhdr(host) -m reg -i '^(${
      builtins.concatStringsSep "|" (map escaped (hosts ++ routing.hosts))
    })(:[0-9]+)?$'"
    "${
      errors.refuse 421 {
        code = "MISDIRECTED_REQUEST";
        message = "This host is not served here.";
      }
    } unless own_host { req.fhdr_cnt(host) eq 1 }"
  ];
  escaped = builtins.replaceStrings [ "." "[" "]" ] [ "\\." "\\[" "\\]" ];

  plain = optionals (listenPlain != null) (
    [
      ""
      "frontend plain"
      "  bind ${listenPlain}"
      "  maxconn ${toString connections.redirected}"
      (indented (fewConnections ++ logging.keep ++ ownHosts))
    ]
    ++ optionals (acmeChallenge != [ ]) [
      "  acl acme_challenge path_beg /.well-known/acme-challenge/"
    ]
    # 308 keeps the method and the body (RFC 9110).
    ++ [
      "  http-request redirect scheme https code 308${
          if acmeChallenge == [ ] then "" else " unless acme_challenge"
        }"
    ]
    ++ optionals (acmeChallenge != [ ]) [
      "  use_backend acme if acme_challenge"
      ""
      "backend acme"
    ]
    # Who does not run just now has ordered nothing, and who says 404 something else.
    ++ optionals (builtins.length acmeChallenge > 1) [
      "  option redispatch 1"
      "  retries ${toString (2 * builtins.length acmeChallenge)}"
      "  retry-on conn-failure empty-response 404"
    ]
    ++ map ({ name, address }: "  server ${name} ${address}") acmeChallenge
  );
in
if routing.problems != [ ] then
  throw (lines routing.problems)
else
  ''
    # Rendered by nixos-modules/render/haproxy.nix: change it there.
    global
    ${indented ([ "log ${log}" ] ++ optionals (spans != null) [ "log ${logging.target spans}" ])}
      maxconn ${toString (connections.clients + connections.redirected + connections.inside)}
    ${indented (
      import ./haproxy/tls.nix tlsProfile
      ++ counting.global
      ++ [
        # Since 3.1 HAProxy wants to be told, and warns where it is not.
        ".if version_atleast(3.1-dev0)"
        "  tune.lua.bool-sample-conversion normal"
        ".endif"
        # By its environment, for HAProxy 2.6 gives a file no arguments.
        "setenv RETRIES ${toString retries}"
        "lua-load ${lua "retry-budget.lua"}"
        "setenv WAIT_SECONDS ${toString waitForNodeSeconds}"
        "lua-load ${lua "wait-for-node.lua"}"
      ]
      ++ edgeAuth.global
      ++ apiKeys.global
      ++ extraGlobal
    )}

    defaults
      mode http
      log global
      option dontlognull
      timeout connect 2s
      # For handshakes, too, which have a timeout of their own since 3.0 alone.
      timeout client 10s
      timeout server ${toString answerSeconds}s
      timeout http-request 10s
      timeout queue ${toString connections.queueSeconds}s
      timeout check 2s
    ${indented logging.formats}

    frontend gateway
      bind ${listen} ssl crt ${certificate} alpn h2,http/1.1${clientCertificates.bind}
      maxconn ${toString connections.clients}
      # At a reload a client that is about to use an open connection again is answered on it once more.
      option idle-close-on-response
    ${indented (fewConnections ++ logging.begin)}
      # Here rather than in `defaults`, where HAProxy 3.0.0 frees them twice.
    ${indented errors.own}

      # Alive while at least one node can serve.
      monitor-uri /healthz
      monitor fail if { nbsrv(auth-core) eq 0 }

      # Only a whole request is answered or passed on: an error that comes before its end reaches HTTP/2 clients as a broken stream.
      # On routes that is so for what says that it is short alone: streams must go on at once.
      acl public_path path ${publicPaths}
    ${indented (
      if hasRoutes then
        routing.choose
        ++ [
          "acl short req.hdr(content-length) -m int le 8192"
          "http-request wait-for-body time 10s if !routed or short"
        ]
      else
        [ "option http-buffer-request" ]
    )}

      # Every request gets a trace id here, whatever the client sent: the edge is where a trace begins.
      http-request set-var(txn.trace_id) uuid,regsub(-,,g)
      http-request set-var(txn.span_id) uuid,regsub(-,,g),bytes(0,16)
      http-request del-header b3
      http-request del-header x-b3- -m beg
      http-request del-header tracestate
      http-request set-header traceparent "00-%[var(txn.trace_id)]-%[var(txn.span_id)]-01"
      http-request set-header x-request-id %[var(txn.trace_id)]
    ${indented (
      import ./haproxy/headers.nix { inherit hstsSeconds hasRoutes; }
      ++ logging.keep
      ++ limiting.countRequests
      ++ ownHosts
      ++ [
        # A node takes a hundred, some of which are ours, and says nothing when it refuses more.
        "${
          errors.refuse 431 {
            code = "BAD_REQUEST";
            message = "The headers are too many.";
          }
        } if { req.fhdr_cnt gt 64 } or { req.hdrs,length gt 12288 }"
        # Both fit into HAProxy's buffer: what does not is no request to it.
        "${
          errors.refuse 414 {
            code = "BAD_REQUEST";
            message = "The URL is longer than 8192 bytes: send a long query by POST.";
          }
        } if { url,length gt 8192 }"
      ]
    )}

      # What a client says about its own address is not believed.
      http-request del-header forwarded
      http-request set-header x-forwarded-for %[src]
      http-request set-header x-forwarded-proto https

    ${indented (
      routing.refuse
      ++ (import ./haproxy/cors.nix).preflights (
        [
          {
            here = "${toCore}public_path";
            inherit cors;
          }
        ]
        ++ routing.cors
      )
    )}
      # Only the public interface passes, and what has a route: a node's metrics and health stay inside.
      ${
        errors.refuse 404 {
          code = "NOT_FOUND";
          message = "No such path: the API is at /graphql.";
        }
      } unless public_path${if hasRoutes then " or routed" else ""}
    ${indented (clientCertificates.rules ++ apiKeys.rules ++ edgeAuth.rules)}

      # What may change something, and what may cost a hash. Nothing that does can do without these words; `\u` might hide them, and
      # so might a body that is not whole in the buffer.
      http-request set-var(txn.body_length) req.body_len
      acl whole_body req.hdr(content-length),sub(txn.body_length) -m int 0
      http-request set-var(txn.may_change) bool(true) if ${toCore}METH_POST !whole_body
      http-request set-var(txn.may_change) bool(true) if ${toCore}METH_POST { req.body -m sub mutation '\u' }
      http-request set-var(txn.may_hash) bool(true) if ${toCore}METH_POST !whole_body
      http-request set-var(txn.may_hash) bool(true) if ${toCore}METH_POST { req.body -m sub ${builtins.concatStringsSep " " hashingMutations} '\u' }
    ${indented limiting.countHashes}
      # For the counters alone.
      http-response del-header x-auth-outcome
      http-response del-header x-auth-hashes

    ${indented routing.use}
      default_backend auth-core

    backend auth-core
      balance roundrobin
      option httpchk
      http-check send meth GET uri /readyz ver HTTP/1.1 hdr host auth-core
      http-check expect status 200

      # What never reached a node is tried on another. What may have been executed, because a node broke off or hangs, is
      # repeated only where that is harmless:
      # whatever carries an Idempotency-Key, which the nodes honour, and queries.
      option redispatch 1
      retries ${toString retries}
      retry-on conn-failure empty-response response-timeout
      http-request disable-l7-retry if { var(txn.may_change) -m bool } !{ req.hdr(idempotency-key) -m found }
      http-request disable-l7-retry if { lua.retries_spent -m bool }
      http-request lua.wait_for_node if { nbsrv eq 0 }

      http-response set-header x-served-by %s
      default-server check inter 500ms fastinter 200ms downinter 500ms fall 2 rise 2 maxconn ${toString connections.perNode} pool-max-conn ${toString connections.idlePerNode}
    ${indented (map server nodes)}
    ${lines (
      routing.backends
      ++ edgeAuth.sections
      ++ counting.sections ([ limiting.table ] ++ routing.tables)
      ++ connectionTable
      ++ plain
    )}

    frontend stats
      bind ${statsListen}
      option dontlog-normal
      # For who decides which gateway has the address: neither limits nor a flood of clients come between.
      monitor-uri /healthz
      monitor fail if { nbsrv(auth-core) eq 0 }
      http-request use-service prometheus-exporter if { path /metrics }
      stats enable
      stats uri /stats
      stats refresh 5s
      stats show-legends
  ''
