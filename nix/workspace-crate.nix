# Builds one crate of the cargo workspace, its dependencies in a derivation of their own.
#
# The dependencies' derivation sees the manifests and the lock file, but none of our code: editing a line rebuilds our
# crate alone. The crate's derivation sees its own code, but none of the other members': editing `lab` leaves `auth-core`,
# and so the servers that run it, as they are.
{ lib, rustPlatform }:
{
  # The crate, which is also its folder and its package.
  crate,
  # Its program, unless it has the crate's name.
  program ? crate,
  # Files of further programs that its manifest names.
  morePrograms ? [ ],
  # Members of the workspace that it needs, besides itself.
  members ? [ ],
  # Files outside its folder that its tests read.
  files ? [ ],
  # What else is installed, with the program in $out/bin.
  postInstall ? "",
  nativeBuildInputs ? [ ],
  # Which of its tests can run without anything around them,
  tests ? [ ],
  # and which of those cannot: parts of their names.
  skippedTests ? [ ],
  meta,
}:
let
  root = ../.;
  workspace = (lib.importTOML (root + "/Cargo.toml")).workspace;
  inherit (lib) fileset;
  manifests = fileset.unions (
    [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
    ]
    ++ map (member: root + "/${member}/Cargo.toml") workspace.members
  );
  source =
    files:
    fileset.toSource {
      inherit root;
      fileset = fileset.unions ([ manifests ] ++ files);
    };

  prepare = ''
    # Cargo takes a dependency for another one when the path of its folder has changed, and a build may run in any folder.
    # The store's copy stays where it is.
    sed -i "s|\"[^\"]*cargo-vendor-dir\"|\"$cargoDeps\"|" "$NIX_BUILD_TOP"/.cargo/config*

    # A member without code still has to be a crate.
    for member in ${toString workspace.members}; do
      if [ ! -e $member/src ]; then
        mkdir $member/src
        echo 'fn main() {}' > $member/src/main.rs
        touch $member/src/lib.rs
      fi
    done
  ''
  + lib.concatMapStrings (path: ''
    [ -e ${crate}/${path} ] || install -D ${crate}/src/main.rs ${crate}/${path}
  '') morePrograms;

  check = arguments: ''
    runHook preCheck
    cargo test --release --frozen --jobs $NIX_BUILD_CORES --package ${crate} ${toString arguments}
    runHook postCheck
  '';

  common = {
    inherit (workspace.package) version;
    # The manifests beside it: they say where each crate begins, so that none of our code is needed to read them.
    cargoLock.lockFile = source [ ] + "/Cargo.lock";
    # Not buildRustPackage's own phases: they give the compiler of one phase an environment that the other lacks, and each
    # builds again what the other built.
    buildPhase = ''
      runHook preBuild
      cargo build --release --frozen --jobs $NIX_BUILD_CORES --package ${crate}
      runHook postBuild
    '';
    checkPhase = check tests;
  };

  dependencies = rustPlatform.buildRustPackage (
    common
    // {
      pname = "${crate}-dependencies";
      src = source [ ];
      preBuild = prepare;
      # The check phase compiles what only tests need.
      installPhase = ''
        runHook preInstall
        mv target $out
        runHook postInstall
      '';
      dontFixup = true;
    }
  );
in
rustPlatform.buildRustPackage (
  common
  // {
    inherit postInstall nativeBuildInputs;
    pname = crate;
    checkPhase = check (
      tests ++ lib.optional (skippedTests != [ ]) "--" ++ map (name: "--skip ${name}") skippedTests
    );
    src = source (map (member: root + "/${member}") ([ crate ] ++ members) ++ files);
    preBuild = prepare + ''
      cp -r --preserve=timestamps ${dependencies} target
      chmod -R u+w target
      # Cargo compares times: our code must be younger than what was built in its place.
      find ${toString ([ crate ] ++ members)} -type f -exec touch {} +
    '';
    installPhase = ''
      runHook preInstall
      install -D -t $out/bin target/release/${program}
      runHook postInstall
    '';
    # Messages of panics name the dependencies' sources, which nobody needs on a server.
    postFixup = ''
      hash=$(basename $cargoDeps | cut --characters=-32)
      LC_ALL=C sed -i "s|$hash|eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee|g" $out/bin/${program}
    '';
    disallowedReferences = [ dependencies.cargoDeps ];
    passthru = { inherit dependencies; };
    meta = {
      license = lib.licenses.mit;
      mainProgram = program;
      platforms = lib.platforms.linux;
    }
    // meta;
  }
)
