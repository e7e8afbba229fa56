# Mutual TLS (RFC 8446, 4.3.2): clients that show a certificate of the operator's own authority.
{
  # PEM file with the authorities; null where nobody is asked for a certificate.
  clientCa,
  # Whether each client has to show one, or only those of the routes with these names.
  requireClientCertificate,
  withClientCertificate,
}:
let
  errors = import ./errors.nix;
in
if clientCa == null then
  {
    bind = "";
    rules = [ ];
  }
else
  {
    bind = " ca-file ${clientCa} verify ${if requireClientCertificate then "required" else "optional"}";
    rules =
      (
        if withClientCertificate == [ ] then
          [ ]
        else
          [
            "${
              errors.refuse 403 {
                code = "FORBIDDEN";
                message = "A client certificate is needed.";
              }
            } if { var(txn.route) -m str ${builtins.concatStringsSep " " withClientCertificate} } !{ ssl_c_used }"
          ]
      )
      ++ [
        "# Control characters in it are percent-encoded, as in all that is put into a header."
        "http-request set-header x-auth-certificate %[ssl_c_s_dn(cn)] if { ssl_c_used } { var(txn.route) -m found }"
      ];
  }
