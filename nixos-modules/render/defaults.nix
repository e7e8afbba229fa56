# What holds unless somebody decides otherwise: for the options of NixOS and for the lab, the only place of it.
{
  # Of a host that says nothing else: everything.
  roles = [
    "core"
    "gateway"
    "monitor"
  ];

  gateway = {
    # What one client address may do before it is told to wait. A person comes nowhere near it.
    limits = {
      requests = {
        count = 600;
        seconds = 60;
      };
      # Each costs a node 128 MiB and a good part of a second of one core.
      hashes = {
        count = 60;
        seconds = 60;
      };
      failedLogIns = {
        count = 20;
        seconds = 60;
      };
    };

    # How many connections are held open at each place; all fit into what the next one takes.
    connections = {
      # By all clients at once. More wait until one ends.
      clients = 4000;
      # By one client address; more are refused. Browsers open six to a host, or one for all with HTTP/2.
      perAddress = 100;
      # Requests under way of one client address; more are refused. However slowly it reads, it leaves most of a node to others.
      requestsPerAddress = 64;
      # By clients that came to port 80, and by statistics and metrics.
      redirected = 500;
      inside = 100;
      # Requests under way to one node, by one gateway; more wait this long for their turn.
      perNode = 250;
      idlePerNode = 50;
      queueSeconds = 5;
    };

    # How long a node may take for an answer. After that another is asked, or the client is told.
    answerSeconds = 8;
    # Every browser since 2017 speaks it; "modern" leaves TLS 1.2 out.
    tlsProfile = "intermediate";
    # Nobody is asked for a certificate.
    clientCa = null;
    requireClientCertificate = false;
    # Two years, as Mozilla's guidelines have it.
    hstsSeconds = 63072000;
    # Pages of other origins may not call the API.
    cors = null;
    # None: the gateway serves auth-core alone.
    routes = { };
  };

  # How often a request is tried again; haproxy/retry-budget.lua says for how many of them.
  retries = 3;

  # How long after the last node was lost requests wait for one, rather than being refused: a standby of the database takes over
  # within five, and clients wait for ten. haproxy/wait-for-node.lua says more.
  waitForNodeSeconds = 8;

  # What holds for a route to a service unless it says otherwise.
  route = {
    stripPrefix = false;
    requireToken = false;
    apiKeys = false;
    requireClientCertificate = false;
    roles = [ ];
    answerSeconds = 30;
    # A WebSocket, or a stream of events, on which nothing is said.
    idleSeconds = 3600;
    # 10 MiB.
    bodyBytes = 10485760;
    maintenance = false;
    # Client addresses that it is for, and not for; none for all, and for none.
    allow = [ ];
    deny = [ ];
    # What one client may ask for.
    limits = {
      by = "address";
      windows = [
        {
          count = 100;
          seconds = 60;
        }
        {
          count = 1000;
          seconds = 3600;
        }
      ];
    };
    cors = null;
    balance = "roundrobin";
    sticky = false;
    serverHeader = null;
    health = {
      by = "tcp";
      path = "/";
      host = "localhost";
    };
    slowStartSeconds = 10;
    # Off: whoever knows a request that makes a server fail could take it from all others.
    circuitBreaker = null;
    requestsPerServer = null;
    compress = false;
    cacheSeconds = 0;
  };

  # How the gateway checks access tokens.
  edge = {
    # As the core has them.
    audience = "authstack";
    leewaySeconds = 30;
    # Keys that the gateway knows at a time: the one that signs, the next, the last one, and one to spare. Tokens of others it
    # asks the core about.
    keySlots = 4;
    # Between two looks at what the cores publish: long before `auth-core keys rotate` signs with a new key.
    lookSeconds = 10;
    # Tokens whose signature was verified, and for how long.
    remembered.tokens = 100000;
    remembered.seconds = 600;
  };

  # What a node accepts: all that of three gateways, and of health checks and monitors.
  core.maxConnections = 1000;
  # How long a node that is told to stop still serves: gateways notice within one that it wants no more requests.
  core.drainSeconds = 2;

  monitoring = {
    scrapeInterval = "15s";
    # The first hears of every alert. This one tells nobody: alerts are only shown on Alertmanager's page.
    receivers = [ { name = "page"; } ];
    # How long alerts that belong together are collected, and between two notices of them.
    groupWait = "10s";
    groupInterval = "5m";
    # Where the pages are that alerts link to. OWNER is who hosts the repository.
    runbooks = "https://github.com/OWNER/authstack/blob/main/docs/runbooks";
    # The share of log-ins, of thirty days, that shall be answered as they should, and in time.
    slo = {
      logInSuccess.objective = 0.999;
      # Two or three times what a hash takes, on a node that is busy.
      logInLatency.objective = 0.99;
      logInLatency.seconds = 2.5;
    };
    # Each probe of the public name may log in, which costs a hash. Prometheus asks the address, on the monitor alone.
    probe.interval = "1m";
    probe.listen = "127.0.0.1:9412";
    # How many spans Zipkin keeps.
    maxSpans = 100000;
    # Where: "memory", "elasticsearch" or "cassandra".
    storage.type = "memory";
    storage.hosts = [ ];
  };

  # Backups of the accounts.
  backup = {
    directory = "/var/backup/authstack";
    schedule = "daily";
    keep = 14;
    # A day, and what one may be late.
    maxAgeHours = 30;
  };

  # A primary that survives its machine. In seconds.
  databaseCluster = {
    # After how long a primary that is not heard of is replaced: the least that Patroni 4 takes.
    leaderTtl = 20;
    # Between two looks at the cluster; leaderTtl must be at least loopWait + 2 x retryTimeout.
    loopWait = 2;
    retryTimeout = 5;
    # A copy that is not heard of for this long is no longer waited for, after the next look: writes that do must not take longer than
    # gateway.answerSeconds.
    silentCopy = 3;
    # Between two looks at who the primary is, by those who want to reach it; and how long a member may take to say whether it is. One that
    # has fallen silent is missed long before its lease is over, and one that is busy must not be.
    checkSeconds = 1;
    answerSeconds = 3;
    # How long etcd keeps what has been changed since. By itself it keeps all: each sign of life of the members, which in two months is as much as
    # it may have; then it takes no more writes, and nobody takes over from a primary that is lost.
    etcdHistory = "1h";
    # Through one core's way to the primary at once: as many as PostgreSQL takes of all together, unless it is told otherwise.
    connections = 100;
    # With PgBouncer, that many of them for all cores: some are left for replication, backups and whoever looks.
    pooled = 50;
  };

  # On which each part listens.
  ports = {
    core = 8080;
    databaseApi = 8008;
    etcdClients = 2379;
    etcdMetrics = 2381;
    etcdPeers = 2380;
    gatewayMetrics = 8404;
    gatewayPeers = 8405;
    pgbouncer = 6432;
    postgresql = 5432;
    postgresqlReplicas = 5433;
    zipkin = 9411;
  };
}
