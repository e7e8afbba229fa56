# PostgreSQL, for the topology of several machines.
stack:
let
  inherit (stack)
    address
    postgresqlParameters
    programs
    scratch
    ;

  postgres = {
    name = "postgres";
    kind = "postgres";
    url = "postgres://authcore@${address.postgres}:5432/postgres";
    listens = [ "${address.postgres}:5432" ];
    files = { };
    unprivileged = true;
    # SIGINT ends it at once; SIGTERM would wait for its clients to go.
    stop_signal = "int";
    needs = [
      "initdb"
      "postgres"
      "pg_isready"
    ];
    prepare = {
      creates = "${scratch}/data/PG_VERSION";
      command = [
        programs.initdb
        "--pgdata=${scratch}/data"
        "--username=authcore"
        "--pwfile=${scratch}/password"
        "--auth=scram-sha-256"
        "--encoding=UTF8"
        "--locale=C"
        "--no-sync"
      ];
    };
    command = [
      programs.postgres
      "-D"
      "${scratch}/data"
      "-c"
      "listen_addresses=${address.postgres}"
      "-c"
      "port=5432"
      "-c"
      "unix_socket_directories="
    ]
    ++ builtins.concatMap (name: [
      "-c"
      "${name}=${toString postgresqlParameters.${name}}"
    ]) (builtins.attrNames postgresqlParameters);
    ready = {
      kind = "command";
      command = [
        programs.pg_isready
        "--quiet"
        "--host=${address.postgres}"
        "--port=5432"
      ];
    };
  };
in
[ postgres ]
