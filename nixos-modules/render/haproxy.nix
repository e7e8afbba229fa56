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
  log ? "stdout format raw local0",
  # Lines added to the `global` section, such as the admin socket's.
  extraGlobal ? [ ],
  # Connections held open at once, over all clients.
  maxConnections ? 4000,
}:
let
  lines = builtins.concatStringsSep "\n";
  indented = texts: lines (map (text: "  ${text}") texts);

  server =
    {
      name,
      address,
      weight ? 100,
    }:
    "server ${name} ${address} weight ${toString weight}";

  # An error in the shape of the API's, as a HAProxy string.
  graphqlError =
    code: message:
    "'"
    + builtins.toJSON {
      errors = [
        {
          inherit message;
          extensions = { inherit code; };
        }
      ];
    }
    + "'";
  ownError =
    { status, code, message, headers ? "" }:
    "http-error status ${toString status} content-type application/json string ${graphqlError code message}${headers}";

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
    timeout server 30s
    timeout http-request 10s
    timeout http-keep-alive 30s
    timeout queue 10s
    timeout check 2s
    # The gateway's own errors have the shape of the API's.
  ${indented (map ownError ownErrors)}

  frontend gateway
    bind ${listen} ssl crt ${certificate} alpn h2,http/1.1
    log-format ${quoted logFormat}

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

    # What a client says about its own address is not believed.
    http-request del-header forwarded
    http-request set-header x-forwarded-for %[src]
    http-request set-header x-forwarded-proto https

    # Only the public interface passes: a node's metrics and health stay inside.
    acl public_path path /graphql /.well-known/jwks.json
    http-request return status 404 content-type application/json string ${graphqlError "NOT_FOUND" "No such path: the API is at /graphql."} unless public_path

    default_backend auth-core

  backend auth-core
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr host auth-core
    http-check expect status 200

    # What never reached a node is tried on another. What may have been executed is repeated only where that is harmless:
    # queries by GET, and whatever carries an Idempotency-Key, which the nodes honour.
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
    http-request disable-l7-retry if METH_POST !{ req.hdr(idempotency-key) -m found }

    http-response set-header x-served-by %s
    default-server check inter 500ms fastinter 200ms downinter 500ms fall 2 rise 2
  ${indented (map server nodes)}

  frontend stats
    bind ${statsListen}
    http-request use-service prometheus-exporter if { path /metrics }
    stats enable
    stats uri /stats
    stats refresh 5s
    stats show-legends
''
