{
  lib,
  callPackage,
  authstack,
  coreutils,
  etcd,
  writeShellApplication,
  grafana,
  haproxy,
  jre_headless,
  patroni,
  postgresql,
  prometheus,
  util-linux,
}:
let
  lab = callPackage ../nix/workspace-crate.nix { } {
    crate = "lab";
    morePrograms = [ "src/bin/sample-service.rs" ];
    members = [ "loadtests" ];
    # The others start the whole stack.
    tests = [
      "--lib"
      "--bins"
    ];
    meta.description = "The stack on one machine, as plain processes";
  };
  descriptions = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ./topology.nix
      ./topology
      ../nixos-modules/render
    ];
  };
in
writeShellApplication {
  name = "lab";
  # nix-instantiate is not among them: who runs this by Nix has it.
  runtimeInputs = [
    authstack.auth-core
    authstack.loadtests
    authstack.sample-service
    coreutils
    etcd
    grafana
    haproxy
    jre_headless
    patroni
    postgresql
    prometheus
    util-linux
    (callPackage ../nix/debian-names.nix { })
  ];
  text = ''
    export AUTHSTACK_TOPOLOGY=''${AUTHSTACK_TOPOLOGY:-${descriptions}/lab/topology.nix}
    export AUTHSTACK_ZIPKIN_JAR=''${AUTHSTACK_ZIPKIN_JAR:-${authstack.zipkin-server.jar}}
    exec ${lib.getExe lab} "$@"
  '';
}
