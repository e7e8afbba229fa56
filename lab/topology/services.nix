# A sample service in two versions behind the gateway, and the routes that lead to it.
stack:
let
  inherit (stack)
    address
    defaults
    http
    programs
    wanted
    ;

  # A service in two versions behind the gateway: for everybody, for who is logged in, for administrators, and where a log-out is
  # seen within a second.
  sample = name: version: {
    inherit name;
    kind = "sample-service";
    url = "http://${address.${name}}:8080";
    listens = [ "${address.${name}}:8080" ];
    files = { };
    needs = [ "sample-service" ];
    command = [
      programs.sample-service
      "${address.${name}}:8080"
      version
    ];
    ready = http "http://${address.${name}}:8080/";
  };
  labRoutes =
    let
      servers = {
        "sample1:8080" = {
          weight = 90;
        };
        "sample2:8080" = {
          weight = 10;
        };
      };
    in
    {
      "/sample" = { inherit servers; };
      "/members" = {
        inherit servers;
        requireToken = true;
      };
      "/machines" = {
        inherit servers;
        apiKeys = true;
      };
      "/staff" = {
        inherit servers;
        requireToken = true;
        roles = [ "admin" ];
      };
      "/live" = {
        inherit servers;
        requireToken = "live";
      };
    };
  # What leads nowhere is left out, as with all else that is not run.
  isRun =
    server:
    let
      host = builtins.head (builtins.split ":" server);
    in
    !(address ? ${host}) || wanted host;
  routesTo =
    routes:
    builtins.listToAttrs (
      builtins.filter (route: route.value.servers != { }) (
        map (prefix: {
          name = prefix;
          value =
            defaults.route
            // routes.${prefix}
            // {
              servers = builtins.listToAttrs (
                map (server: {
                  name = server;
                  value = routes.${prefix}.servers.${server};
                }) (builtins.filter isRun (builtins.attrNames routes.${prefix}.servers))
              );
            };
        }) (builtins.attrNames routes)
      )
    );
in
{
  parts = [
    (sample "sample1" "v1")
    (sample "sample2" "v2")
  ];
  inherit labRoutes routesTo;
}
