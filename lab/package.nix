{
  lib,
  callPackage,
  authstack,
  writeShellApplication,
  linkFarm,
  grafana,
  haproxy,
  jre_headless,
  nix,
  postgresql,
  prometheus,
  prometheus-alertmanager,
  prometheus-node-exporter,
}:
let
  lab = callPackage ../nix/workspace-crate.nix { } {
    crate = "lab";
    members = [ "loadtests" ];
    # The others start the whole stack.
    tests = [
      "--lib"
      "--bins"
    ];
    meta.description = "The stack on one machine, as plain processes";
  };
  # Under the names that Debian gives them.
  renamed = linkFarm "lab-programs" {
    "bin/prometheus-alertmanager" = lib.getExe' prometheus-alertmanager "alertmanager";
    "bin/prometheus-node-exporter" = lib.getExe' prometheus-node-exporter "node_exporter";
  };
  descriptions = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ./topology.nix
      ../nixos-modules/render
    ];
  };
in
writeShellApplication {
  name = "lab";
  runtimeInputs = [
    authstack.auth-core
    authstack.loadtests
    grafana
    haproxy
    jre_headless
    nix
    postgresql
    prometheus
    renamed
  ];
  text = ''
    export AUTHSTACK_TOPOLOGY=''${AUTHSTACK_TOPOLOGY:-${descriptions}/lab/topology.nix}
    export AUTHSTACK_ZIPKIN_JAR=''${AUTHSTACK_ZIPKIN_JAR:-${authstack.zipkin-server.jar}}
    exec ${lib.getExe lab} "$@"
  '';
}
