//! Faults of the network, by nftables and the queueing discipline netem, in a network of our own.
//!
//! All parts are on one loopback device, and who connects to a part comes from 127.0.0.1: a rule is about the part's address, so it
//! cuts what others send to it, and not what it sends to the database. Packets are lost where they come in: where they go out, a
//! sender would be told.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::time::sleep;

use crate::{
    chaos::{
        machine::{Machine, quiet, said},
        stage::Stage,
    },
    topology::Part,
};

/// The table of all our rules.
pub const TABLE: &str = "authstack-chaos";
/// How long what no health check sees lasts.
const LASTS: Duration = Duration::from_secs(6);

/// What happens to packets.
#[derive(Debug)]
pub struct Rule {
    /// Of nftables, each for the packets that are lost; `ADDRESS` is that of the part.
    lost: &'static [&'static str],
    /// Arguments of netem; none where packets are lost.
    netem: &'static [&'static str],
    /// Whether the gateways must notice.
    takes_node: bool,
    /// How long it lasts, where they do not.
    lasts: Duration,
}

const LOSES: Rule = Rule {
    lost: &[],
    netem: &[],
    takes_node: false,
    lasts: LASTS,
};
/// No packet comes or goes.
pub const PARTITION: Rule = Rule {
    lost: &["ip daddr ADDRESS", "ip saddr ADDRESS"],
    takes_node: true,
    ..LOSES
};
/// As a firewall that drops: who is connected stays so.
pub const BLACK_HOLE: Rule = Rule {
    lost: &["ip daddr ADDRESS tcp flags & (syn | ack) == syn"],
    takes_node: true,
    ..LOSES
};
/// The database is out of reach, without a word.
pub const DATABASE_PARTITION: Rule = Rule {
    lost: &["ip daddr ADDRESS", "ip saddr ADDRESS"],
    lasts: Duration::from_secs(5),
    ..LOSES
};
/// One packet in fifty.
pub const LOSSY: Rule = Rule {
    lost: &[
        "tcp dport { 8080, 5432 } numgen random mod 50 == 0",
        "tcp sport { 8080, 5432 } numgen random mod 50 == 0",
    ],
    ..LOSES
};
/// Whom the gateways tell what they count.
pub const GATEWAYS_APART: Rule = Rule {
    lost: &["tcp dport 8405", "tcp sport 8405"],
    ..LOSES
};
/// All packets, on their way out.
pub const SLOW: Rule = Rule {
    netem: &["delay", "20ms", "5ms"],
    ..LOSES
};

impl Rule {
    pub(super) fn lacks(&self, machine: &Machine) -> Option<String> {
        let needed = if self.netem.is_empty() {
            &machine.nft
        } else {
            &machine.netem
        };
        needed.clone().err()
    }

    pub(super) async fn strike(&self, stage: &Stage, part: &str) -> Result<()> {
        // A chain of its own, so that two at once do not undo each other.
        let chain = format!("{part}-{}", self.lost.len());
        self.begin(stage, part, &chain)?;
        let lasted = self.last(stage, part).await;
        self.end(&chain)?;
        lasted?;
        if self.takes_node {
            stage.until_seen(part, true).await?;
        }
        Ok(())
    }

    fn begin(&self, stage: &Stage, part: &str, chain: &str) -> Result<()> {
        if !self.netem.is_empty() {
            let added = [&["qdisc", "add", "dev", "lo", "root", "netem"], self.netem].concat();
            return run("tc", &added);
        }
        run("nft", &["add", "table", "inet", TABLE])?;
        let hook = "{ type filter hook input priority 0; }";
        run("nft", &["add", "chain", "inet", TABLE, chain, hook])?;
        let address = stage.address(part)?;
        for rule in self.lost {
            let rule = rule.replace("ADDRESS", &address);
            run(
                "nft",
                &[
                    "add", "rule", "inet", TABLE, chain, &rule, "counter", "drop",
                ],
            )?;
        }
        Ok(())
    }

    async fn last(&self, stage: &Stage, part: &str) -> Result<()> {
        if self.takes_node {
            stage.until_seen(part, false).await?;
            return stage.until_idle(part).await;
        }
        sleep(self.lasts).await;
        Ok(())
    }

    fn end(&self, chain: &str) -> Result<()> {
        if !self.netem.is_empty() {
            return run("tc", &["qdisc", "del", "dev", "lo", "root"]);
        }
        let counted = said("nft", &["list", "chain", "inet", TABLE, chain]);
        run("nft", &["flush", "chain", "inet", TABLE, chain])?;
        run("nft", &["delete", "chain", "inet", TABLE, chain])?;
        let counted = counted.map_err(|error| anyhow!(error))?;
        ensure!(lost_some(&counted), "not one packet was lost:\n{counted}");
        Ok(())
    }
}

/// A host that is cut off from all others: nothing that its processes send arrives anywhere, nor anything at its address.
///
/// A rule about its address would not do: what it asks of others comes from 127.0.0.1. So packets are marked by the group of the
/// process that sends them, and lost where they come in.
#[derive(Debug)]
pub struct Cut(());

/// Its chains.
const OUT: &str = "host-out";
const IN: &str = "host-in";

impl Cut {
    /// Cuts the host of a part off.
    ///
    /// # Errors
    /// When it has none, or nftables refuses.
    pub fn off(part: &Part) -> Result<Self> {
        let group = part.host.context("it has no host of its own")?.to_string();
        let address = part.listens[0].split(':').next().unwrap_or_default();
        run("nft", &["add", "table", "inet", TABLE])?;
        let cut = Self(());
        for (chain, hook) in [(OUT, "output"), (IN, "input")] {
            let hook = format!("{{ type filter hook {hook} priority 0; }}");
            run("nft", &["add", "chain", "inet", TABLE, chain, &hook])?;
        }
        let rule =
            |chain: &str, rule: &str| run("nft", &["add", "rule", "inet", TABLE, chain, rule]);
        rule(IN, &format!("meta mark {group} counter drop"))?;
        rule(IN, &format!("ip daddr {address} counter drop"))?;
        // What the kernel itself says, such as that a port is closed.
        rule(IN, &format!("ip saddr {address} counter drop"))?;
        rule(OUT, &format!("meta skgid {group} meta mark set {group}"))?;
        Ok(cut)
    }

    /// Reaches all others again.
    ///
    /// # Errors
    /// When nftables refuses, or nothing was lost.
    pub fn end(self) -> Result<()> {
        let counted = said("nft", &["list", "chain", "inet", TABLE, IN]);
        drop(self);
        let counted = counted.map_err(|error| anyhow!(error))?;
        ensure!(lost_some(&counted), "not one packet was lost:\n{counted}");
        Ok(())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        for chain in [OUT, IN] {
            let _ = run("nft", &["flush", "chain", "inet", TABLE, chain]);
            let _ = run("nft", &["delete", "chain", "inet", TABLE, chain]);
        }
    }
}

/// Whether a rule of a chain has met a packet.
fn lost_some(chain: &str) -> bool {
    let mut words = chain.split_whitespace();
    while words.any(|word| word == "packets") {
        if words.next().is_some_and(|count| count != "0") {
            return true;
        }
    }
    false
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    quiet(program, arguments).map_err(|error| anyhow!(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_met_no_packet_is_told_from_one_that_did() {
        let chain = |packets| {
            format!(
                "tcp dport 8405 counter packets {packets} bytes 120 drop\n tcp sport 8405 counter packets 0 bytes 0"
            )
        };
        assert!(lost_some(&chain("2")));
        assert!(!lost_some(&chain("0")));
    }
}
