# The unit that makes a gateway's certificate by a certificate authority of its host's own: for tests, as nobody else knows that authority.
{ domain, pkgs }:
{
  description = "Make the gateway's certificate, by a certificate authority of this host's own";
  wantedBy = [ "multi-user.target" ];
  before = [ "haproxy.service" ];
  path = [ pkgs.openssl ];
  script = ''
    cd "$STATE_DIRECTORY"
    new="-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256"
    if [ ! -s ca.pem ]; then
      openssl req $new -days 3650 -subj "/CN=authstack at ${domain}" \
        -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca-key.pem -out ca.pem.new
      mv ca.pem.new ca.pem
      chmod a+r ca.pem
    fi
    name=$(openssl x509 -in gateway.pem -noout -ext subjectAltName 2>/dev/null || true)
    if ! openssl x509 -in gateway.pem -noout -checkend 2592000 2>/dev/null || [[ "$name" != *"DNS:${domain}"* ]]; then
      openssl req $new -days 365 -CA ca.pem -CAkey ca-key.pem -subj "/CN=${domain}" \
        -addext subjectAltName=DNS:${domain} -addext basicConstraints=critical,CA:FALSE \
        -addext extendedKeyUsage=serverAuth -keyout gateway-key.pem -out gateway.pem.new
      cat gateway-key.pem >> gateway.pem.new
      mv gateway.pem.new gateway.pem
    fi
  '';
  serviceConfig = import ./hardening.nix // {
    Type = "oneshot";
    RemainAfterExit = true;
    StateDirectory = "authstack/certificates";
    StateDirectoryMode = "0755";
    PrivateNetwork = true;
  };
}
