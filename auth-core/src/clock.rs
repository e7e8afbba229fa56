//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 for people and programs: RFC 3339, in UTC. A dash for a time that it cannot express.
pub fn rfc3339(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// When what a UUID of version 7 names began (RFC 9562, 5.7): RFC 3339, in UTC. A dash for what is none.
pub fn began(id: &str) -> String {
    let timestamp = Uuid::parse_str(id).ok().and_then(|id| id.get_timestamp());
    timestamp.map_or_else(
        || "-".to_owned(),
        |timestamp| rfc3339(i64::try_from(timestamp.to_unix().0).unwrap_or(i64::MAX)),
    )
}
