# auth-core as it is, with the commit that it was built of in `auth-core --version`. A step of its own, which compiles nothing: the
# commit of a change elsewhere must not build the core again, nor run its tests and those of machines.
{ lib, runCommand }:
{
  package,
  # As the flake knows it: 40 hexadecimal digits.
  rev,
}:
let
  # What stands in its place, in as many bytes.
  unknown = "not-recorded";
  commit = lib.substring 0 (lib.stringLength unknown) rev;
in
runCommand package.name
  {
    inherit (package) pname version meta;
    passthru = package.passthru or { };
  }
  ''
    cp -r --no-preserve=mode ${package} $out
    LC_ALL=C sed -i "s|(commit ${unknown})|(commit ${commit})|g" $out/bin/*
    chmod +x $out/bin/*
    LC_ALL=C grep -qF '(commit ${commit})' $out/bin/* || { echo 'there is no place for the commit' >&2; exit 1; }
  ''
