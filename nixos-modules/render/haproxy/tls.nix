# TLS by Mozilla's Server Side TLS guidelines, version 6.0: the lines of the global section for each of its profiles.
#
# Left out is the hybrid key exchange X25519MLKEM768: HAProxy does not start with a curve that its OpenSSL does not know, and only 3.5
# knows this one.
profile:
let
  intermediate = {
    oldest = "TLSv1.2";
    # Forward secrecy and authenticated encryption only.
    ciphers = [
      "ECDHE-ECDSA-AES128-GCM-SHA256"
      "ECDHE-RSA-AES128-GCM-SHA256"
      "ECDHE-ECDSA-AES256-GCM-SHA384"
      "ECDHE-RSA-AES256-GCM-SHA384"
      "ECDHE-ECDSA-CHACHA20-POLY1305"
      "ECDHE-RSA-CHACHA20-POLY1305"
    ];
  };
  modern = {
    oldest = "TLSv1.3";
    ciphers = [ ];
  };
  chosen = { inherit intermediate modern; }.${profile};
  names = builtins.concatStringsSep ":";
in
[ "ssl-default-bind-options ssl-min-ver ${chosen.oldest} no-tls-tickets" ]
++ (if chosen.ciphers == [ ] then [ ] else [ "ssl-default-bind-ciphers ${names chosen.ciphers}" ])
++ [
  "ssl-default-bind-ciphersuites ${
    names [
      "TLS_AES_128_GCM_SHA256"
      "TLS_AES_256_GCM_SHA384"
      "TLS_CHACHA20_POLY1305_SHA256"
    ]
  }"
  "ssl-default-bind-curves ${
    names [
      "X25519"
      "prime256v1"
      "secp384r1"
    ]
  }"
]
