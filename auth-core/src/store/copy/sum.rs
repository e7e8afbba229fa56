//! A checksum of a set of rows that does not depend on their order, in which databases differ.

use aws_lc_rs::digest::{SHA256, digest};

/// How many rows there are, and the sum of 128 bits of the SHA-256 of each. Tells apart what went wrong, not what an attacker
/// made up: who can write to one of the databases needs no collision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    sum: u128,
}

impl Sum {
    /// Adds a row.
    pub fn add(&mut self, line: &[u8]) {
        let hash = digest(&SHA256, line);
        let half = hash
            .as_ref()
            .first_chunk()
            .map_or(0, |half| u128::from_be_bytes(*half));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(half);
    }
}
