//! The stack that faults are done to: one of its own, in a temporary directory, on a network of its own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::sleep,
};

use super::{
    disk::SmallDisk,
    fault::{Fault, StackKind},
    inject::{Action, clock},
    machine::Machine,
};
use crate::{
    Event, Setup, Stack, TopologyName,
    haproxy::{self, Server},
    members::{ETCD, MEMBERS, Members},
    network::Network,
    process::Process,
    topology::ScryptCost,
};

/// How long anything may take that a fault waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Cheap hashes, so that load is many requests; as those of tests.
const CHEAP: ScryptCost = ScryptCost {
    log_n: 10,
    r: 8,
    p: 1,
};

/// Who has an address.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// The users whose requests are judged.
    Users,
    /// Those who are the fault.
    Others,
}

/// A stack under test.
#[derive(Debug)]
pub struct Stage {
    /// Its parts.
    pub stack: Arc<Stack>,
    /// Which one it is.
    pub kind: StackKind,
    /// The disk that can be filled, where there is one.
    pub disk: Option<SmallDisk>,
    /// The clock that can jump, where there is one.
    pub clock: Option<PathBuf>,
    directory: TempDir,
    loads: Mutex<Vec<Process>>,
    _events: UnboundedReceiver<Event>,
}

/// The parts that each stack has; faults may want more.
fn parts(kind: StackKind, faults: &[&Fault]) -> Vec<String> {
    let mut parts: BTreeSet<&str> = BTreeSet::from([
        "auth1",
        "auth2",
        "gateway",
        "gateway-keys",
        "sample1",
        "sample2",
    ]);
    if kind != StackKind::Sqlite {
        parts.extend(["auth3", "gateway2", "gateway2-keys"]);
    }
    match kind {
        StackKind::Sqlite => {}
        StackKind::Cluster | StackKind::RealCost => parts.extend(["postgres"]),
        StackKind::Ha => parts.extend(ETCD.iter().chain(&MEMBERS).chain(&["database"])),
    }
    for fault in faults {
        match fault.action {
            Action::Away("zipkin") => {
                parts.extend(["zipkin", "gateway-spans", "gateway2-spans"]);
            }
            Action::Away(part) => {
                parts.insert(part);
            }
            _ => {}
        }
    }
    parts.into_iter().map(str::to_owned).collect()
}

impl Stage {
    /// Makes everything ready for the stack that these faults are done to. Starts nothing yet.
    ///
    /// # Errors
    /// See [`Stack::prepare`].
    pub async fn prepare(kind: StackKind, faults: &[&Fault], machine: &Machine) -> Result<Self> {
        let directory = TempDir::with_prefix("authstack-chaos-")?;
        let (tell, events) = unbounded_channel();
        let setup = Setup {
            topology: match kind {
                StackKind::Sqlite => TopologyName::Single,
                StackKind::Cluster | StackKind::RealCost => TopologyName::Cluster,
                StackKind::Ha => TopologyName::Ha,
            },
            directory: directory.path().join("state"),
            network: Network::for_test()?,
            tls_profile: None,
            internal_tls: false,
            // Whoever fails at once comes again at once, and for half a minute that is more than an address may.
            gateway: (kind == StackKind::Ha).then(|| json!({ "limits": {} })),
            scrypt: (kind != StackKind::RealCost).then_some(CHEAP),
            parts: Some(parts(kind, faults)),
        };
        let mut stack = Stack::prepare(setup, tell).await?;
        let wants = |wanted: fn(&Action) -> bool| faults.iter().any(|fault| wanted(&fault.action));
        let disk = if wants(|action| matches!(action, Action::DiskFull)) && machine.mounts.is_ok() {
            Some(SmallDisk::under(&stack, kind)?)
        } else {
            None
        };
        let clock = match (
            &machine.faketime,
            faults.iter().find_map(|fault| fault.action.clock()),
        ) {
            (Ok(library), Some(node)) => Some(clock::prepare(&mut stack, node, library)?),
            _ => None,
        };
        Ok(Self {
            stack: Arc::new(stack),
            kind,
            disk,
            clock,
            directory,
            loads: Mutex::default(),
            _events: events,
        })
    }

    /// Starts it.
    ///
    /// # Errors
    /// When a part cannot be started, or does not become ready.
    pub async fn start(&self) -> Result<()> {
        self.stack.start().await?;
        if self.kind == StackKind::Ha {
            Members::of(&self.stack)?.until_whole().await?;
        }
        self.until_healthy().await
    }

    /// Puts load on it, which ends with it.
    pub fn take_load(&self, load: Process) {
        let mut loads = self.loads.lock().expect("no holder of the lock panics");
        loads.push(load);
    }

    /// Stops load and all parts; nothing is left of it.
    pub async fn stop(self) {
        let loads = self.loads.into_inner();
        for mut load in loads.expect("no holder of the lock panics") {
            load.stop(Signal::KILL, PATIENCE).await;
        }
        self.stack.stop().await;
        drop(self.disk);
        drop(self.stack);
        if let Err(error) = self.directory.close() {
            eprintln!("lab: {error}");
        }
    }

    /// Where reports and the like can be kept meanwhile.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The gateways' names.
    pub fn gateways(&self) -> impl Iterator<Item = &str> {
        let parts = self.stack.parts().iter();
        parts
            .filter(|part| part.kind == "haproxy")
            .map(|part| part.name.as_str())
    }

    /// The nodes' names.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let parts = self.stack.parts().iter();
        parts
            .filter(|part| part.kind == "auth-core" && part.url.starts_with("http"))
            .map(|part| part.name.as_str())
    }

    /// Waits until every part is ready, and every server is up at every gateway.
    ///
    /// # Errors
    /// What has not healed in time.
    pub async fn until_healthy(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let ill = self.ill().await;
            if ill.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                bail!("{} after {} s", ill.join(", "), PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ill(&self) -> Vec<String> {
        let parts = self.stack.status().await.parts;
        let mut ill: Vec<String> = (parts.iter().filter(|part| !part.ready))
            .map(|part| format!("{} is not ready", part.name))
            .collect();
        for gateway in self.gateways() {
            match self.servers(gateway).await {
                Ok(servers) => ill.extend(
                    (servers.iter().filter(|server| !server.is_up()))
                        .map(|server| format!("{} is {} at {gateway}", server.name, server.status)),
                ),
                Err(error) => ill.push(format!("{error:#}")),
            }
        }
        ill
    }

    /// The servers of a gateway.
    async fn servers(&self, gateway: &str) -> Result<Vec<Server>> {
        haproxy::servers(&self.stack.admin_socket(gateway)).await
    }

    /// Waits until every gateway sees a node so.
    ///
    /// # Errors
    /// When one does not in time.
    pub async fn until_seen(&self, node: &str, up: bool) -> Result<()> {
        let what = format!("the gateways see {node} {}", if up { "up" } else { "down" });
        self.until(&what, async || {
            for gateway in self.gateways() {
                let servers = self.servers(gateway).await.ok()?;
                let mut of_node = servers.iter().filter(|server| server.part == node);
                if !of_node.all(|server| server.is_up() == up) {
                    return None;
                }
            }
            Some(())
        })
        .await
    }

    /// Waits until the gateways have no request under way to a node.
    ///
    /// # Errors
    /// When one still has in time.
    pub async fn until_idle(&self, node: &str) -> Result<()> {
        self.until(
            &format!("others have taken over what {node} was given"),
            async || {
                for gateway in self.gateways() {
                    let socket = self.stack.admin_socket(gateway);
                    if haproxy::count(&socket, node, "scur").await.ok()? > 0 {
                        return None;
                    }
                }
                Some(())
            },
        )
        .await
    }

    /// How often nodes have logged that the database does not do what they ask for.
    pub fn without_database(&self) -> usize {
        let logs = self
            .nodes()
            .map(|node| fs::read_to_string(self.stack.log(node)).unwrap_or_default());
        logs.map(|log| log.matches("the database does not answer").count())
            .sum()
    }

    /// Waits until `check` answers something.
    ///
    /// # Errors
    /// When it does not in time: says `what` was waited for.
    pub async fn until<T>(&self, what: &str, check: impl AsyncFn() -> Option<T>) -> Result<T> {
        let begin = Instant::now();
        loop {
            if let Some(value) = check().await {
                return Ok(value);
            }
            if begin.elapsed() > PATIENCE {
                bail!("not within {} s: {what}", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Addresses for so many clients, as CIDR: limits count by address. None is any part's, and no two share one.
    pub fn addresses(&self, whose: Whose, clients: u32) -> String {
        let prefix = self.stack.network_prefix();
        let second = prefix
            .split('.')
            .nth(1)
            .and_then(|byte| byte.parse::<u8>().ok());
        // Apart from all networks of stacks, which are below 127.192.
        let second = second.unwrap_or_default() | 0xc0;
        let third = match whose {
            Whose::Users => 0,
            Whose::Others => 128,
        };
        // Two of them are none of a host.
        let bits = 32 - (clients + 2).next_power_of_two().ilog2();
        format!("127.{second}.{third}.0/{bits}")
    }

    /// The address of a part.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn address(&self, part: &str) -> Result<String> {
        let url = &self.stack.part(part)?.url;
        let (_, rest) = url.split_once("://").context("a URL")?;
        let host = rest.rsplit('@').next().unwrap_or(rest);
        Ok(host.split([':', '/']).next().unwrap_or(host).to_owned())
    }
}
