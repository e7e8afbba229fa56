# A member of a PostgreSQL that survives its machine: Patroni elects the primary by a lock in etcd, and replicates synchronously.
#
# Settings in, Patroni's own out, as an attribute set; JSON is YAML. For Patroni 3.0 to 4.x. Before 3.0.4 a primary that was cut off, and comes
# back after another has taken over, can take the lease from it, by what its own etcd knew before: both then write. Passwords come by
# the environment: PATRONI_{SUPERUSER,REPLICATION,REWIND}_PASSWORD, and PATRONI_RESTAPI_{USERNAME,PASSWORD} of those who may change
# anything by Patroni's API.
{
  # Its name among the members.
  name,
  # "ADDRESS:PORT" of its PostgreSQL, and of Patroni's own API.
  postgresql,
  api,
  # "ADDRESS:PORT" of each member of etcd.
  etcd,
  # { ca; certificate; key; } of TLS among members, to etcd and to clients; null for none.
  tls,
  # Networks (CIDR) of members and of clients.
  members,
  clients,
  # The database that is made at first, owned by a user of this name, and the program that makes both: Patroni gives it the
  # superuser's URL.
  database,
  afterBootstrap,
  # Where data, and the file of passwords that Patroni writes, are.
  dataDirectory,
  passwordFile,
  # Directory of PostgreSQL's programs.
  programs,
  # Further parameters of PostgreSQL.
  parameters ? { },
}:
let
  inherit ((import ../defaults.nix).databaseCluster)
    leaderTtl
    loopWait
    retryTimeout
    silentCopy
    ;
  host = if tls == null then "host" else "hostssl";
  # Members are who they say they are by the certificate authority that they share.
  withTls =
    user:
    user
    // (
      if tls == null then
        { }
      else
        {
          sslmode = "verify-ca";
          sslrootcert = tls.ca;
        }
    );
  allow = what: networks: map (network: "${host} ${what} ${network} scram-sha-256") networks;
in
{
  scope = "authstack";
  inherit name;
  etcd3 = {
    hosts = etcd;
  }
  // (
    if tls == null then
      { }
    else
      {
        protocol = "https";
        cacert = tls.ca;
        cert = tls.certificate;
        inherit (tls) key;
      }
  );
  restapi = {
    listen = api;
    connect_address = api;
  }
  // (
    if tls == null then
      { }
    else
      {
        certfile = tls.certificate;
        keyfile = tls.key;
        cafile = tls.ca;
      }
  );
  bootstrap = {
    dcs = {
      # A primary that is not heard of is replaced after this long, in seconds.
      ttl = leaderTtl;
      loop_wait = loopWait;
      retry_timeout = retryTimeout;
      # A primary whose PostgreSQL died is replaced at once, and not started again first.
      primary_start_timeout = 0;
      # A write is acknowledged when a second member has it, and that one alone may follow. With no other member left the primary goes on.
      synchronous_mode = true;
      # Without etcd the primary goes on as long as it reaches all members, so that nobody else can be it.
      failsafe_mode = true;
      postgresql = {
        # A primary that was replaced follows its successor without a copy of everything, where it can.
        use_pg_rewind = true;
        parameters = {
          hot_standby = "on";
          wal_level = "replica";
          unix_socket_directories = "";
        }
        // parameters;
      };
    };
    initdb = [
      { encoding = "UTF8"; }
      { locale = "C"; }
      { auth = "scram-sha-256"; }
      "data-checksums"
    ];
    post_bootstrap = afterBootstrap;
  };
  postgresql = {
    listen = postgresql;
    connect_address = postgresql;
    data_dir = dataDirectory;
    bin_dir = programs;
    pgpass = passwordFile;
    # A member that cannot be made to follow by pg_rewind begins with a new copy, rather than staying behind.
    # What the primary does not have was not acknowledged.
    remove_data_directory_on_rewind_failure = true;
    # A new member does not wait for minutes until its copy begins.
    basebackup = [ { checkpoint = "fast"; } ];
    authentication = {
      superuser = withTls { username = "postgres"; };
      replication = withTls { username = "replicator"; };
      rewind = withTls { username = "rewind"; };
    };
    parameters = {
      wal_sender_timeout = "${toString silentCopy}s";
    }
    // (
      if tls == null then
        { }
      else
        {
          ssl = "on";
          ssl_ca_file = tls.ca;
          ssl_cert_file = tls.certificate;
          ssl_key_file = tls.key;
        }
    );
    pg_hba =
      allow "replication replicator" members
      ++ allow "all postgres,rewind" members
      ++ allow "${database} ${database}" clients;
  };
}
