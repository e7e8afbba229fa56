-- The last beat of each node that reads from a replica: by it the node knows how far behind the replica is.
CREATE TABLE heartbeats (
    node TEXT   NOT NULL PRIMARY KEY,
    beat BIGINT NOT NULL
);
