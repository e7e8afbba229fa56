# A certificate for each host of a fleet, by an authority that is made here, and one of a stranger's authority. Nothing that these tests protect.
{ pkgs, nodes }:
let
  inherit (pkgs) lib;
in
pkgs.runCommand "throwaway-certificates" { nativeBuildInputs = [ pkgs.openssl ]; } ''
  mkdir $out
  cd $out
  new="-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30"
  for authority in ca stranger-ca; do
    openssl req $new -subj "/CN=$authority" -addext keyUsage=critical,keyCertSign -keyout $authority-key.pem -out $authority.pem
  done
  certify() {
    openssl req $new -CA $1.pem -CAkey $1-key.pem -addext basicConstraints=critical,CA:FALSE \
      -subj "/CN=$2" -addext "subjectAltName=DNS:$2,IP:$3" -keyout "$2-key.pem" -out "$2.pem"
  }
  ${lib.concatStrings (lib.mapAttrsToList (name: node: "certify ca ${name} ${node.address}\n") nodes)}
  certify stranger-ca stranger 192.168.1.99
  chmod a+r *
''
