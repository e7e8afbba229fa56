# PostgreSQL that survives its machine, for the topology "ha": three members of Patroni and of etcd, and the way to the primary.
stack:
let
  inherit (stack)
    address
    defaults
    http
    own
    port
    postgresqlParameters
    programs
    render
    scratch
    wanted
    ;

  numbers = [
    "1"
    "2"
    "3"
  ];
  # Loopback: who connects comes from there, whoever it is.
  everybody = [ "127.0.0.0/8" ];
  owner = "authcore";

  clientsOf = number: "${address.etcd number}:${port.etcdClients}";
  peersOf = number: "http://${address.etcd number}:${port.etcdPeers}";
  etcd = number: {
    name = "etcd${number}";
    kind = "etcd";
    url = "http://${clientsOf number}";
    listens = [
      (clientsOf number)
      "${address.etcd number}:${port.etcdPeers}"
    ];
    files = { };
    # What it knows of the members lasts as long as their data.
    unprivileged = true;
    needs = [ "etcd" ];
    command = [
      programs.etcd
      "--name=etcd${number}"
      "--data-dir=${scratch}/etcd${number}/data"
      "--listen-client-urls=http://${clientsOf number}"
      "--advertise-client-urls=http://${clientsOf number}"
      "--listen-peer-urls=${peersOf number}"
      "--initial-advertise-peer-urls=${peersOf number}"
      "--initial-cluster=${
        builtins.concatStringsSep "," (map (number: "etcd${number}=${peersOf number}") numbers)
      }"
      "--initial-cluster-state=new"
      "--auto-compaction-retention=${defaults.databaseCluster.etcdHistory}"
    ];
    ready = http "http://${clientsOf number}/health";
  };

  postgresqlOf = number: "${address.member number}:${port.postgresql}";
  apiOf = number: "${address.member number}:${port.databaseApi}";
  memberSettings =
    number:
    let
      folder = "${scratch}/postgres${number}";
      settings = import (render + "/database/patroni.nix") {
        name = "postgres${number}";
        postgresql = postgresqlOf number;
        api = apiOf number;
        etcd = map clientsOf numbers;
        tls = null;
        members = everybody;
        clients = everybody;
        database = owner;
        afterBootstrap = "sh ${folder}/after-bootstrap.sh";
        dataDirectory = "${folder}/data";
        passwordFile = "${folder}/pgpass";
        # Where all of them are.
        programs = dirOf programs.pg_rewind;
        parameters = postgresqlParameters;
      };
    in
    settings
    // {
      postgresql = settings.postgresql // {
        # Within a machine nothing goes by the network: a member that is cut off still reaches its own PostgreSQL.
        use_unix_socket = true;
        parameters = settings.postgresql.parameters // {
          unix_socket_directories = folder;
        };
        pg_hba = [ "local all postgres,rewind scram-sha-256" ] ++ settings.postgresql.pg_hba;
      };
    };
  member = number: {
    name = "postgres${number}";
    kind = "patroni";
    url = "http://${apiOf number}";
    listens = [
      (postgresqlOf number)
      (apiOf number)
    ];
    files = {
      "patroni.json" = builtins.toJSON (memberSettings number);
      "after-bootstrap.sh" = builtins.readFile (render + "/database/after-bootstrap.sh");
    };
    unprivileged = true;
    # PostgreSQL leaves Patroni's family: only so it ends with it.
    host = 7700 + builtins.fromJSON number;
    needs = [
      "patroni"
      "pg_rewind"
    ];
    command = [
      "sh"
      "-c"
      ''
        password=$(cat "$1")
        shift
        export PATRONI_SUPERUSER_PASSWORD="$password" PATRONI_REPLICATION_PASSWORD="$password" PATRONI_REWIND_PASSWORD="$password"
        export PATRONI_RESTAPI_USERNAME=patroni PATRONI_RESTAPI_PASSWORD="$password"
        exec "$@"
      ''
      "sh"
      "${scratch}/members-password"
      "env"
      "AUTHSTACK_DATABASE=${owner}"
      "AUTHSTACK_DATABASE_PASSWORD_FILE=${scratch}/password"
      programs.patroni
      "${scratch}/postgres${number}/patroni.json"
    ];
    after = map (number: "etcd${number}") numbers;
    # Of the primary, and of the others as soon as they have their copy.
    ready = http "http://${apiOf number}/health";
  };

  database = {
    name = "database";
    kind = "tcp-proxy";
    url = "postgres://${owner}@${address.postgres}:${port.postgresql}/${owner}";
    listens = [
      "${address.postgres}:${port.postgresql}"
      "${address.postgres}:${port.postgresqlReplicas}"
    ];
    files."haproxy.cfg" = import (render + "/database/haproxy.nix") {
      listen = "${address.postgres}:${port.postgresql}";
      listenReplicas = "${address.postgres}:${port.postgresqlReplicas}";
      members = map (number: {
        name = "postgres${number}";
        postgresql = postgresqlOf number;
        api = apiOf number;
      }) numbers;
      ca = null;
      connections = postgresqlParameters.max_connections;
    };
    needs = [
      "haproxy"
      "pg_isready"
    ];
    command = [
      programs.haproxy
      "-db"
      "-f"
      "${own "database"}/haproxy.cfg"
    ];
    after = builtins.filter wanted (map (number: "postgres${number}") numbers);
    ready = {
      kind = "command";
      command = [
        programs.pg_isready
        "--quiet"
        "--host=${address.postgres}"
        "--port=${port.postgresql}"
      ];
    };
  };
in
map etcd numbers ++ map member numbers ++ [ database ]
