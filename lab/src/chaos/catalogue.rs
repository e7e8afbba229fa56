//! The catalogue: every fault, with what a user may see of it. `docs/how-to/chaos.md` shows it.

use super::{
    fault::{
        Broken::{All, Auth1, Auth2, Auth3, Beside, Database, Gateway},
        Fault, Seen,
        StackKind::{Cluster, Ha, RealCost, Sqlite},
    },
    inject::{
        Action,
        network::{BLACK_HOLE, DATABASE_PARTITION, GATEWAYS_APART, LOSSY, PARTITION, SLOW},
    },
};
use crate::members;

/// What the gateway says while no node can serve, and what a node says without its database. Both tell a client to come again.
const UNAVAILABLE: &[&str] = &["GraphQL UNAVAILABLE"];
/// The same, and for a route what the gateway says by its status alone.
const AWAY: &[&str] = &["GraphQL UNAVAILABLE", "HTTP 503"];

/// Nobody sees an error, nor waits long once it is over.
const NOTHING: Seen = Seen {
    words: "no failed request",
    rules: &[],
    errors: &[],
};
/// As much, and while a node hangs only those wait whom it had been given.
const SOME_WAIT: Seen = Seen {
    words: "no failed request; who was given to that node waits up to 9 s, until another answers; others notice nothing",
    rules: &["during: p75<1s"],
    errors: &[],
};

/// Requests may fail until another primary is there, which takes longer than the gateway lets them wait.
const UNTIL_REPLACED: Seen = Seen {
    words: "errors that say UNAVAILABLE (503, 504), or long waits, until another is the primary; then none",
    rules: &[],
    errors: &["GraphQL UNAVAILABLE", "HTTP 503", "HTTP 504"],
};

/// Every fault.
pub const CATALOGUE: &[Fault] = &[
    Fault {
        name: "calm",
        summary: "nothing is done: the load alone",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[],
        action: Action::Nothing,
    },
    Fault {
        name: "crash",
        summary: "a node is killed (SIGKILL) and started again",
        seen: NOTHING,
        stack: Cluster,
        quick: true,
        breaks: &[Auth1],
        action: Action::Crash("auth1"),
    },
    Fault {
        name: "hang",
        summary: "a node hangs (SIGSTOP) until the gateways do without it, and goes on",
        seen: SOME_WAIT,
        stack: Cluster,
        quick: false,
        breaks: &[Auth2],
        action: Action::Hang("auth2"),
    },
    Fault {
        name: "rolling-restart",
        summary: "all nodes are stopped and started, one after the other, as an upgrade does",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Auth1, Auth2, Auth3],
        action: Action::RollingRestart(&["auth1", "auth2", "auth3"]),
    },
    Fault {
        name: "partition",
        summary: "a node is cut off: every packet to it and from it is lost",
        seen: SOME_WAIT,
        stack: Cluster,
        quick: false,
        breaks: &[Auth3],
        action: Action::Network(PARTITION, "auth3"),
    },
    Fault {
        name: "black-hole",
        summary: "a node's port is a black hole: who wants to connect hears nothing",
        seen: Seen {
            words: "no failed request; who waits for a connection waits for 2 s, until another node answers",
            rules: &["during: p75<1s"],
            errors: &[],
        },
        stack: Cluster,
        quick: true,
        breaks: &[Auth3],
        action: Action::Network(BLACK_HOLE, "auth3"),
    },
    Fault {
        name: "lossy-network",
        summary: "2 % of the packets to and from nodes and database are lost, for 6 s",
        seen: Seen {
            words: "no failed request; some wait for a packet that is sent again",
            rules: &["during: p75<1s"],
            errors: &[],
        },
        stack: Cluster,
        quick: false,
        breaks: &[Database],
        action: Action::Network(LOSSY, "postgres"),
    },
    Fault {
        name: "slow-network",
        summary: "every packet takes 20 ms longer, give or take 5 ms, for 6 s",
        seen: Seen {
            words: "no failed request; each takes as much longer as it needs ways",
            rules: &["during: p95<3s"],
            errors: &[],
        },
        stack: Cluster,
        quick: false,
        breaks: &[Database],
        action: Action::Network(SLOW, "postgres"),
    },
    Fault {
        name: "gateways-apart",
        summary: "the gateways do not hear of each other for 6 s",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Beside],
        action: Action::Network(GATEWAYS_APART, "gateway2"),
    },
    Fault {
        name: "database-down",
        summary: "PostgreSQL is killed (SIGKILL), and started again after 3 s",
        seen: Seen {
            words: "requests wait until it is back; errors that say UNAVAILABLE (503), if that takes more than some 6 s",
            rules: &[],
            errors: AWAY,
        },
        stack: Cluster,
        quick: true,
        breaks: &[All],
        action: Action::DatabaseDown,
    },
    Fault {
        name: "database-partition",
        summary: "every packet to and from PostgreSQL is lost for 5 s",
        seen: Seen {
            words: "errors that say UNAVAILABLE (503, 504), or long waits, until it is back; then none",
            rules: &[],
            errors: &["GraphQL UNAVAILABLE", "HTTP 503", "HTTP 504"],
        },
        stack: Cluster,
        quick: false,
        breaks: &[All],
        action: Action::Network(DATABASE_PARTITION, "postgres"),
    },
    Fault {
        name: "database-slow",
        summary: "PostgreSQL works a fifth of the time, for 6 s",
        seen: Seen {
            words: "no failed request; each waits for its share of the database",
            rules: &["during: p95<5s"],
            errors: &[],
        },
        stack: Cluster,
        quick: false,
        breaks: &[Database],
        action: Action::DatabaseSlow,
    },
    Fault {
        name: "database-disk-full",
        summary: "PostgreSQL's disk has no room left, until 3 s after a node could not write",
        seen: Seen {
            words: "errors that say UNAVAILABLE, until there is room again; then none",
            rules: &[],
            errors: AWAY,
        },
        stack: Cluster,
        quick: false,
        breaks: &[All],
        action: Action::DiskFull,
    },
    Fault {
        name: "disk-full",
        summary: "the disk of SQLite's file has no room left, until 3 s after a node could not write",
        seen: Seen {
            words: "what writes gets errors that say UNAVAILABLE, until there is room again; what reads is answered",
            rules: &["during: error-rate<=0% for POST verifyToken"],
            errors: UNAVAILABLE,
        },
        stack: Sqlite,
        quick: true,
        breaks: &[All],
        action: Action::DiskFull,
    },
    Fault {
        name: "clock-jump",
        summary: "a node's clock jumps 20 s back, then 20 s ahead",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Auth2],
        action: Action::ClockJump("auth2"),
    },
    Fault {
        name: "zipkin-away",
        summary: "Zipkin hangs, is killed, and is started again",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Beside],
        action: Action::Away("zipkin"),
    },
    Fault {
        name: "prometheus-away",
        summary: "Prometheus hangs, is killed, and is started again",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Beside],
        action: Action::Away("prometheus"),
    },
    Fault {
        name: "certificate-swap",
        summary: "the gateways get a new certificate, by a reload",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Gateway],
        action: Action::CertificateSwap,
    },
    Fault {
        name: "key-rotation",
        summary: "the nodes sign with a new key at once, and the gateways learn of it",
        seen: NOTHING,
        stack: Cluster,
        quick: false,
        breaks: &[Gateway],
        action: Action::KeyRotation,
    },
    Fault {
        name: "reload-storm",
        summary: "the gateway is reloaded ten times, each time as soon as it can be",
        seen: NOTHING,
        stack: Cluster,
        quick: true,
        breaks: &[Gateway],
        action: Action::ReloadStorm,
    },
    Fault {
        name: "brute-force",
        summary: "a wave of guessed passwords from other addresses, 40 a second for 5 s",
        seen: Seen {
            words: "no failed request; who guesses is told to wait (429)",
            rules: &[],
            errors: &[],
        },
        stack: Cluster,
        quick: false,
        breaks: &[Beside],
        action: Action::BruteForce,
    },
    Fault {
        name: "overload",
        summary: "ten times the sign-ups that the machine can hash come for 8 s",
        seen: Seen {
            words: "sign-ups beyond that are refused at once (OVERLOADED, 429, 503); who has a token notices little",
            rules: &["during: p95<2s for POST verifyToken"],
            errors: &[],
        },
        stack: RealCost,
        quick: false,
        breaks: &[All],
        action: Action::Overload,
    },
    Fault {
        name: "etcd-member-lost",
        summary: "of three members of etcd one is killed (SIGKILL), and started again after 3 s",
        seen: NOTHING,
        stack: Ha,
        quick: false,
        breaks: &[Beside],
        action: Action::EtcdMember,
    },
    Fault {
        name: "primary-killed",
        summary: "the PostgreSQL that is the primary is killed (SIGKILL), and another follows it",
        seen: Seen {
            words: "no failed request; who needs the database waits until another is the primary, some 5 s",
            rules: &[],
            errors: &[],
        },
        stack: Ha,
        quick: false,
        breaks: &[All],
        action: Action::Primary(members::Fault::Killed),
    },
    Fault {
        name: "primary-lost",
        summary: "the primary's machine is lost: Patroni and PostgreSQL are killed (SIGKILL), and started again when another follows",
        seen: UNTIL_REPLACED,
        stack: Ha,
        quick: false,
        breaks: &[All],
        action: Action::Primary(members::Fault::Lost),
    },
    Fault {
        name: "primary-cut-off",
        summary: "the primary's machine is cut off from all others until another follows; it must have stepped down by then",
        seen: UNTIL_REPLACED,
        stack: Ha,
        quick: false,
        breaks: &[All],
        action: Action::Primary(members::Fault::CutOff),
    },
];

/// A fault by its name.
pub fn find(name: &str) -> Option<&'static Fault> {
    CATALOGUE.iter().find(|fault| fault.name == name)
}
