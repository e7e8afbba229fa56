# PostgreSQL, for the topology of several machines.
stack:
let
  inherit (stack)
    address
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
      "-c"
      "max_connections=60"
      # After a crash all of it is written to the disk at once, and not a thousand files one by one, which takes seconds.
      "-c"
      "recovery_init_sync_method=syncfs"
      # In its own folder: what it has in /dev/shm stays there when it is killed.
      "-c"
      "dynamic_shared_memory_type=mmap"
    ];
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
