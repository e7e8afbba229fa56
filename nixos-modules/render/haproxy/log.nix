# The gateway's log: one JSON object a line, whatever a client sends.
let
  # What a client writes is bounded, so that no line is cut.
  longestMethod = 32;
  longestPath = 256;

  object =
    fields:
    let
      text = "{${builtins.concatStringsSep "," fields}}";
    in
    ''"${builtins.replaceStrings [ ''"'' ] [ ''\"'' ] text}"'';
in
{
  # Kept for the line, which is written when the request is gone. The path is without its query, which can carry a token.
  keep = [
    "http-request set-var(txn.method) method,bytes(0,${toString longestMethod})"
    "http-request set-var(txn.path) path,bytes(0,${toString longestPath})"
  ];
  formats = [
    "log-format ${
      object [
        ''"time":"%tr"''
        ''"trace_id":"%[var(txn.trace_id)]"''
        ''"client":"%ci"''
        ''"method":"%[var(txn.method),json(utf8s)]"''
        ''"path":"%[var(txn.path),json(utf8s)]"''
        ''"route":"%[var(txn.route)]"''
        ''"status":%ST''
        ''"node":"%s"''
        ''"milliseconds":%Ta''
        ''"retries":"%rc"''
        ''"end":"%tsc"''
      ]
    }"
    # What never became a request: a failed handshake, or bytes that are no HTTP.
    "error-log-format ${
      object [
        ''"time":"%tr"''
        ''"client":"%ci"''
        ''"status":%ST''
        ''"error":"%[fc_err_str,json(utf8s)]"''
        ''"tls_error":"%[ssl_fc_err_str,json(utf8s)]"''
      ]
    }"
  ];
}
