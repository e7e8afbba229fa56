# Zipkin's server as its authors publish it. nixpkgs' own `zipkin` is of 2017 and takes no spans of today's format.
{
  lib,
  fetchurl,
  jre_headless,
  runtimeShell,
  runCommand,
}:
let
  version = "3.5.1";
  jar = fetchurl {
    url = "mirror://maven/io/zipkin/zipkin-server/${version}/zipkin-server-${version}-exec.jar";
    hash = "sha256-esYzpoMmR+ceUAEqXj6R+8cFRBSVUmFyRSYDD68nHY0=";
  };
in
runCommand "zipkin-server-${version}"
  {
    pname = "zipkin-server";
    inherit version;
    passthru = { inherit jar; };
    meta = {
      description = "Collects and shows traces";
      homepage = "https://zipkin.io";
      license = lib.licenses.asl20;
      mainProgram = "zipkin-server";
      platforms = lib.platforms.linux;
      sourceProvenance = [ lib.sourceTypes.binaryBytecode ];
    };
  }
  ''
    mkdir -p $out/bin
    cat > $out/bin/zipkin-server <<'END'
    #!${runtimeShell}
    exec ${lib.getExe' jre_headless "java"} -jar ${jar} "$@"
    END
    chmod +x $out/bin/zipkin-server
  ''
