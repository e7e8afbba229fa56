# Everything that ./dev needs; what it is, and why, stands in lab/debian-packages.
{ pkgs }:
let
  inherit (pkgs) lib;
  python = pkgs.python3.withPackages (packages: [ packages.pip ]);
  debianNames = pkgs.callPackage ./debian-names.nix { };

  # What is in nixpkgs what a package of that table is in Debian.
  counterparts = {
    # Every shell of Nix has a compiler and a C library.
    gcc = [ ];
    "g++" = [ ];
    libc6-dev = [ ];
    make = [ ];
    ca-certificates = [ pkgs.cacert ];
    cargo-web = [ pkgs.cargo ];
    rustc-web = [ pkgs.rustc ];
    rustfmt-web = [ pkgs.rustfmt ];
    rust-web-clippy = [ pkgs.clippy ];
    # Who opened this shell has it.
    nix-bin = [ ];
    haproxy = [ pkgs.haproxy ];
    util-linux = [ pkgs.util-linux ];
    curl = [ pkgs.curl ];
    postgresql = [ pkgs.postgresql ];
    patroni = [ pkgs.patroni ];
    pgbouncer = [ pkgs.pgbouncer ];
    etcd-server = [ pkgs.etcd ];
    # promtool is an output of its own.
    prometheus = [
      pkgs.prometheus
      pkgs.prometheus.cli
    ];
    prometheus-alertmanager = [ debianNames ];
    prometheus-node-exporter = [ debianNames ];
    prometheus-postgres-exporter = [ debianNames ];
    default-jre-headless = [ pkgs.jre_headless ];
    # The jar comes from AUTHSTACK_ZIPKIN_JAR.
    maven = [ ];
    chromium = [ pkgs.chromium ];
    iproute2 = [ pkgs.iproute2 ];
    nftables = [ pkgs.nftables ];
    faketime = [ pkgs.libfaketime ];
    nodejs = [ pkgs.nodejs ];
    npm = [ pkgs.nodejs ];
    python3 = [ python ];
    python3-pip = [ python ];
    age = [ pkgs.age ];
    procps = [ pkgs.procps ];
    wrk = [ pkgs.wrk ];
    git = [ pkgs.git ];
  };

  lines = lib.filter (line: line != "" && !lib.hasPrefix "#" line) (
    lib.splitString "\n" (builtins.readFile ../lab/debian-packages)
  );
  word = number: line: lib.elemAt (lib.filter (word: word != "") (lib.splitString " " line)) number;
  debianPackages = lib.unique (map (word 2) lines);
in
pkgs.mkShell {
  packages =
    lib.unique (
      lib.concatMap (
        name:
        counterparts.${name}
          or (throw "lab/debian-packages names ${name}: nix/dev-shell.nix must say what that is in nixpkgs")
      ) debianPackages
    )
    # Debian has no packages of these.
    ++ [
      pkgs.grafana
      pkgs.nixfmt
    ];
  # So ./dev looks for nothing to install.
  AUTHSTACK_PROGRAMS = "given";
  AUTHSTACK_ZIPKIN_JAR = pkgs.authstack.zipkin-server.jar;
}
