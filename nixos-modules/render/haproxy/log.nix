# The gateway's log: one JSON object a line, whatever a client sends.
let
  # What a client writes is bounded, so that no line is cut.
  longestMethod = 32;
  longestPath = 256;
  # All of it in JSON's escapes, with the rest of the line; HAProxy would cut at 1024 by itself.
  longestLine = 2048;

  object =
    fields:
    let
      text = "{${builtins.concatStringsSep "," fields}}";
    in
    ''"${builtins.replaceStrings [ ''"'' ] [ ''\"'' ] text}"'';

  # What the core's lines begin with, too: when the line was written, by the clock that HAProxy reads once for both halves.
  common = message: [
    ''"timestamp":"%[date,utime(%Y-%m-%dT%H:%M:%S)].%[date(0,us),mod(1000000),add(1000000),regsub(^1,)]Z"''
    ''"level":"INFO"''
    ''"message":"${message}"''
  ];
in
{
  # What reads the lines: standard output, or a socket of datagrams, which HAProxy never waits for.
  target = place: "${place} len ${toString longestLine} format raw local0";
  # Before the body is waited for. By HAProxy's clock, in microseconds, so that what nodes do lies between this and the end.
  begin = [ "tcp-request content set-var(txn.began) date(0,us)" ];
  # Kept for the line, which is written when the request is gone. The path is without its query, which can carry a token.
  keep = [
    "http-request set-var(txn.method) method,bytes(0,${toString longestMethod})"
    "http-request set-var(txn.path) path,bytes(0,${toString longestPath})"
  ];
  formats = [
    "log-format ${
      object (
        common "request"
        ++ [
          ''"trace_id":"%[var(txn.trace_id)]"''
          ''"span_id":"%[var(txn.span_id)]"''
          ''"began":"%[var(txn.began)]"''
          ''"ended":"%[date(0,us)]"''
          ''"client":"%ci"''
          ''"method":"%[var(txn.method),json(utf8s)]"''
          ''"path":"%[var(txn.path),json(utf8s)]"''
          ''"route":"%[var(txn.route)]"''
          ''"status":%ST''
          ''"node":"%s"''
          ''"duration_ms":%Ta''
          ''"queue_ms":%Tw''
          ''"connect_ms":%Tc''
          ''"response_ms":%Tr''
          ''"retries":"%rc"''
          ''"end":"%tsc"''
        ]
      )
    }"
    # What never became a request: a failed handshake, or bytes that are no HTTP.
    "error-log-format ${
      object (
        common "no request"
        ++ [
          ''"client":"%ci"''
          ''"status":%ST''
          ''"error":"%[fc_err_str,json(utf8s)]"''
          ''"tls_error":"%[ssl_fc_err_str,json(utf8s)]"''
        ]
      )
    }"
  ];
}
