# PgBouncer, on each member of a database cluster in front of its PostgreSQL: cores have as many connections as they like, and share few of
# PostgreSQL's, each for as long as a transaction takes.
#
# Settings in, PgBouncer's own out, as an attribute set of the sections of pgbouncer.ini. For PgBouncer 1.21 and later: older ones lose prepared
# statements.
{
  # Where it listens.
  address,
  port,
  # { certificate; key; } of TLS to cores.
  tls,
  # Connections of all cores at once.
  clients,
  # The database and its user, who have the same name, and the file with the user's password, as PgBouncer has it.
  database,
  users,
  # Directory of PostgreSQL's Unix socket, and its port.
  sockets,
  postgresql,
}:
let
  inherit ((import ../defaults.nix).databaseCluster) pooled;
in
{
  # PostgreSQL asks the system who this is, and needs no password.
  databases.${database} = "host=${sockets} port=${toString postgresql} dbname=${database}";
  pgbouncer = {
    listen_addr = address;
    listen_port = port;
    client_tls_sslmode = "require";
    client_tls_cert_file = tls.certificate;
    client_tls_key_file = tls.key;
    auth_type = "scram-sha-256";
    auth_file = users;
    pool_mode = "transaction";
    max_client_conn = clients;
    default_pool_size = pooled;
    # For each connection to PostgreSQL: all that a core has.
    max_prepared_statements = 100;
    # What a core says when it connects. The first is about numbers that it does not store, the second is said to PgBouncer below.
    ignore_startup_parameters = "extra_float_digits,idle_in_transaction_session_timeout";
    # A core that vanishes within a transaction does not keep its locks (auth-core/src/store/connect.rs).
    idle_transaction_timeout = 2;
    # So long a core waits, too (auth-core/src/store/mod.rs).
    query_wait_timeout = 5;
    # A PostgreSQL that was away is used again as soon as it is back.
    server_login_retry = 1;
  };
}
