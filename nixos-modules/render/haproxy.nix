# The gateway: HAProxy terminates TLS and spreads requests over the auth-core nodes.
#
# Settings in, the text of haproxy.cfg out. Written for HAProxy 2.6 and checked on 3.x: no keyword that only one of them knows.
let
  defaults = import ./gateway-defaults.nix;
in
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
  log ? "stdout format raw local0",
  # Lines added to the `global` section, such as the admin socket's.
  extraGlobal ? [ ],
  # Connections held open at once, over all clients.
  maxConnections ? 4000,
  # How long a node may take for an answer. After that another is asked, or the client is told.
  answerSeconds ? 30,
  # "ADDRESS:PORT" that answers plain HTTP with the way to HTTPS; null for none.
  listenPlain ? null,
  # "ADDRESS:PORT" of an ACME client that proves over plain HTTP that the domain is ours; null for none.
  acmeChallenge ? null,
  # How long browsers shall insist on HTTPS (RFC 6797), in seconds; 0 says nothing of it.
  hstsSeconds ? 0,
  # What one client address may do before it is told to wait: { requests, hashes, failedLogIns }, each { count; seconds; } or null.
  limits ? defaults.limits,
}:
let
  # Each computes a hash before its outcome is known.
  hashingMutations = [
    "signUp"
    "logIn"
    "changePassword"
    "deleteAccount"
  ];
  optionals = condition: list: if condition then list else [ ];

  lines = builtins.concatStringsSep "\n";
  indented = texts: lines (map (text: "  ${text}") texts);

  server =
    {
      name,
      address,
      weight ? 100,
    }:
    "server ${name} ${address} weight ${toString weight}";

  jsonError = import ./haproxy/json-error.nix;
  ownError =
    { status, code, message, headers ? "" }:
    "http-error status ${toString status} content-type application/json string ${jsonError code message}${headers}";

  limiting = import ./haproxy/limits.nix limits;

  plain = optionals (listenPlain != null) (
    [
      ""
      "frontend plain"
      "  bind ${listenPlain}"
    ]
    ++ optionals (acmeChallenge != null) [
      "  acl acme_challenge path_beg /.well-known/acme-challenge/"
    ]
    # 308 keeps the method and the body (RFC 9110).
    ++ [
      "  http-request redirect scheme https code 308${if acmeChallenge == null then "" else " unless acme_challenge"}"
    ]
    ++ optionals (acmeChallenge != null) [
      "  use_backend acme if acme_challenge"
      ""
      "backend acme"
      "  server acme ${acmeChallenge}"
    ]
  );

  ownErrors = [
    {
      status = 400;
      code = "BAD_REQUEST";
      message = "This is not a valid HTTP request.";
    }
    {
      status = 408;
      code = "REQUEST_TIMEOUT";
      message = "The request did not arrive in time.";
    }
    {
      status = 500;
      code = "INTERNAL";
      message = "The gateway failed on this request.";
    }
    {
      status = 502;
      code = "UNAVAILABLE";
      message = "The node broke off before it had answered. Whether the request was carried out is not known.";
    }
    {
      status = 503;
      code = "UNAVAILABLE";
      message = "No node can answer at the moment. Try again shortly.";
      headers = " hdr retry-after 1";
    }
    {
      status = 504;
      code = "UNAVAILABLE";
      message = "The node did not answer in time. Whether the request was carried out is not known.";
    }
  ];

  # One JSON object a line. The path is logged without its query, which can carry a token.
  logFormat =
    "{"
    + builtins.concatStringsSep "," [
      ''"time":"%tr"''
      ''"trace_id":"%[var(txn.trace_id)]"''
      ''"client":"%ci"''
      ''"method":"%[var(txn.method),json(utf8s)]"''
      ''"path":"%[var(txn.path),json(utf8s)]"''
      ''"status":%ST''
      ''"node":"%s"''
      ''"milliseconds":%Ta''
      ''"retries":"%rc"''
      ''"end":"%tsc"''
    ]
    + "}";
  quoted = text: ''"${builtins.replaceStrings [ ''"'' ] [ ''\"'' ] text}"'';
in
''
  # Rendered by nixos-modules/render/haproxy.nix: change it there.
  global
    log ${log}
    maxconn ${toString maxConnections}
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ${indented extraGlobal}

  defaults
    mode http
    log global
    option dontlognull
    timeout connect 2s
    timeout client 30s
    timeout server ${toString answerSeconds}s
    timeout http-request 10s
    timeout http-keep-alive 30s
    timeout queue 10s
    timeout check 2s
    # The gateway's own errors have the shape of the API's.
  ${indented (map ownError ownErrors)}

  frontend gateway
    bind ${listen} ssl crt ${certificate} alpn h2,http/1.1
    log-format ${quoted logFormat}

    # Only a whole request is answered or passed on: an error that comes before its end reaches HTTP/2 clients as a broken stream.
    option http-buffer-request

    # Alive while at least one node can serve.
    monitor-uri /healthz
    monitor fail if { nbsrv(auth-core) eq 0 }

    # Every request gets a trace id here, whatever the client sent: the edge is where a trace begins.
    http-request set-var(txn.trace_id) uuid,regsub(-,,g)
    http-request set-var(txn.span_id) uuid,regsub(-,,g),bytes(0,16)
    http-request set-var(txn.method) method
    http-request set-var(txn.path) path
    http-request del-header b3
    http-request del-header x-b3- -m beg
    http-request del-header tracestate
    http-request set-header traceparent "00-%[var(txn.trace_id)]-%[var(txn.span_id)]-01"
    http-after-response set-header x-trace-id %[var(txn.trace_id)]
  ${indented (
    optionals (hstsSeconds > 0) [
      "http-after-response set-header strict-transport-security max-age=${toString hstsSeconds}"
    ]
    ++ limiting.countRequests
  )}

    # What a client says about its own address is not believed.
    http-request del-header forwarded
    http-request set-header x-forwarded-for %[src]
    http-request set-header x-forwarded-proto https

    # Only the public interface passes: a node's metrics and health stay inside.
    acl public_path path /graphql /.well-known/jwks.json
    http-request return status 404 content-type application/json string ${jsonError "NOT_FOUND" "No such path: the API is at /graphql."} unless public_path

    # What may change something, and what may cost a hash. Nothing that does can do without these words; `\u` might hide them, and
    # so might a body that is not whole in the buffer.
    http-request set-var(txn.body_length) req.body_len
    acl whole_body req.hdr(content-length),sub(txn.body_length) -m int 0
    http-request set-var(txn.may_change) bool(true) if METH_POST !whole_body
    http-request set-var(txn.may_change) bool(true) if METH_POST { req.body -m sub mutation '\u' }
    http-request set-var(txn.may_hash) bool(true) if METH_POST !whole_body
    http-request set-var(txn.may_hash) bool(true) if METH_POST { req.body -m sub ${builtins.concatStringsSep " " hashingMutations} '\u' }
  ${indented limiting.countHashes}
    # For the counters alone.
    http-response del-header x-auth-outcome
    http-response del-header x-auth-hashes

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
    retries 3
    retry-on conn-failure empty-response response-timeout
    http-request disable-l7-retry if { var(txn.may_change) -m bool } !{ req.hdr(idempotency-key) -m found }

    http-response set-header x-served-by %s
    default-server check inter 500ms fastinter 200ms downinter 500ms fall 2 rise 2
  ${indented (map server nodes)}
  ${lines (limiting.table ++ plain)}

  frontend stats
    bind ${statsListen}
    http-request use-service prometheus-exporter if { path /metrics }
    stats enable
    stats uri /stats
    stats refresh 5s
    stats show-legends
''
