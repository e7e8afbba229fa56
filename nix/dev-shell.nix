# Everything that ./dev needs; what it is, and why, stands in lab/debian-packages. Nix itself is there already.
{ pkgs }:
pkgs.mkShell {
  packages = [
    pkgs.cargo
    pkgs.clippy
    pkgs.curl
    pkgs.grafana
    pkgs.haproxy
    pkgs.jre_headless
    pkgs.nixfmt
    pkgs.nodejs
    pkgs.postgresql
    pkgs.procps
    pkgs.prometheus
    pkgs.rustc
    pkgs.rustfmt
    pkgs.util-linux
    (pkgs.callPackage ./debian-names.nix { })
  ];
  # So ./dev looks for nothing to install.
  AUTHSTACK_PROGRAMS = "given";
  AUTHSTACK_ZIPKIN_JAR = pkgs.authstack.zipkin-server.jar;
}
