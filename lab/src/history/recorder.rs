//! The clients of a stack, who use accounts of their own while others break it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fastrand::Rng;
use reqwest::{Certificate, Client};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Action, Answer, History, Id, lock,
    log::Log,
    search::Reason,
    user::{PAUSE, Passwords, User},
};
use crate::{Stack, members::MEMBERS};

/// Accounts that are used at a time, each by two clients.
const ACCOUNTS: usize = 4;
/// The addresses from which clients come: limits count by address.
const ADDRESSES: u8 = 126;
/// Longer than any part of a stack takes to answer or to give up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Where all parts are ready, an account can be read within this.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How old an answer of `me` may be where the database has copies: auth-core's default of `database.replica_max_lag_seconds`.
const READ_FROM_COPIES: Duration = Duration::from_secs(5);

/// Clients of one stack. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    clients: Vec<Client>,
    next_client: AtomicUsize,
    url: String,
    random: Mutex<Rng>,
    stale: Duration,
    acknowledged: AtomicUsize,
}

impl Recorder {
    /// Clients for the stack's first gateway. What they do follows from `seed`, as far as the answers do.
    ///
    /// # Errors
    /// The stack has no gateway, or the certificate of its CA cannot be read.
    pub fn new(stack: &Stack, seed: u64) -> Result<Self> {
        let ca = Certificate::from_pem(&fs::read(stack.ca())?)?;
        let addresses = stack.client_addresses();
        let first = addresses.split_once('/');
        let first: Ipv4Addr = first
            .and_then(|(first, _)| first.parse().ok())
            .context("the clients of a stack have IPv4 addresses")?;
        let [a, b, c, first] = first.octets();
        let client = |number| {
            Client::builder()
                .no_proxy()
                .timeout(ANSWER_TIMEOUT)
                .local_address(IpAddr::from([a, b, c, first + number]))
                .tls_certs_only([ca.clone()])
                .build()
        };
        Ok(Self(Arc::new(Shared {
            clients: (0..ADDRESSES).map(client).collect::<Result<_, _>>()?,
            next_client: AtomicUsize::new(0),
            url: stack.part("gateway")?.url.clone(),
            random: Mutex::new(Rng::with_seed(seed)),
            stale: match stack.part(MEMBERS[0]) {
                Ok(_) => READ_FROM_COPIES,
                Err(_) => Duration::ZERO,
            },
            acknowledged: AtomicUsize::new(0),
        })))
    }

    /// How many calls were acknowledged since the recorder was made.
    pub fn acknowledged(&self) -> usize {
        self.0.acknowledged.load(Relaxed)
    }

    /// Lets clients make accounts and use them until `until` is there and each has its last answer.
    ///
    /// # Errors
    /// What `until` says.
    pub async fn run(&self, until: impl Future<Output = Result<()>>) -> Result<History> {
        let log = Log::of(History {
            secret: lock(&self.0.random).u64(..),
            stale: self.0.stale,
            ..History::default()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let mut using = JoinSet::new();
        for _ in 0..ACCOUNTS {
            let random = lock(&self.0.random).fork();
            let (shared, log, stop) = (self.0.clone(), log.clone(), stop.clone());
            using.spawn(async move { shared.use_accounts(&log, random, &stop).await });
        }
        let done = until.await;
        stop.store(true, Relaxed);
        using.join_all().await;
        done.map(|()| log.end())
    }

    /// Logs in to each account of a history with the passwords that it may have, until one was the right one: the stack has to be
    /// healthy. [`History::check`] then says whether the others had to be wrong.
    ///
    /// # Errors
    /// An account cannot be read, or nothing explains its history.
    pub async fn read(&self, history: History) -> Result<History> {
        let log = Log::of(history);
        let next = Arc::new(AtomicUsize::new(0));
        let mut reading = JoinSet::new();
        for _ in 0..ACCOUNTS {
            let (shared, log, next) = (self.0.clone(), log.clone(), next.clone());
            reading.spawn(async move {
                loop {
                    let account = next.fetch_add(1, Relaxed);
                    if account >= log.lock().emails.len() {
                        return Ok(());
                    }
                    shared.read_account(&log, account).await?;
                }
            });
        }
        let read: Result<Vec<()>> = reading.join_all().await.into_iter().collect();
        read.map(|_| log.end())
    }
}

impl Shared {
    async fn use_accounts(&self, log: &Log, mut random: Rng, stop: &AtomicBool) {
        let acknowledged = || {
            self.acknowledged.fetch_add(1, Relaxed);
        };
        while !stop.load(Relaxed) {
            let account = log.account();
            let passwords = Arc::new(Mutex::new(Passwords::default()));
            let mut user = |client| {
                let (http, passwords, random) = (self.client(), passwords.clone(), random.fork());
                User::new(&self.url, http, log, account, client, passwords, random)
            };
            let (mut one, mut other) = (user(1), user(2));
            tokio::join!(
                one.use_account(stop, acknowledged),
                other.use_account(stop, acknowledged)
            );
        }
    }

    /// Each time another address.
    fn client(&self) -> &Client {
        let next = self.next_client.fetch_add(1, Relaxed);
        &self.clients[next % self.clients.len()]
    }

    async fn read_account(&self, log: &Log, account: usize) -> Result<()> {
        let begin = Instant::now();
        loop {
            let passwords = log.lock().possible(account)?;
            let mut done = false;
            // The newest first: it is the one that may come late.
            for password in passwords.into_iter().rev().flatten() {
                done |= self.read_password(log, account, password, begin).await?;
            }
            if done || log.lock().possible(account)?.contains(&None) {
                return Ok(());
            }
        }
    }

    /// Whether the account has this password. A log-in that is told to wait is tried again.
    async fn read_password(
        &self,
        log: &Log,
        account: usize,
        password: Id,
        begin: Instant,
    ) -> Result<bool> {
        loop {
            let (http, nothing, random) = (self.client(), Arc::default(), Rng::with_seed(0));
            let mut reader = User::new(&self.url, http, log, account, 0, nothing, random);
            match reader.call(Action::LogIn { password }, false).await {
                Answer::Done(_) => return Ok(true),
                Answer::Refused(_) => return Ok(false),
                Answer::NotCarriedOut(_) | Answer::Unknown(_) => {}
            }
            if begin.elapsed() > READ_TIMEOUT {
                return Err(log.lock().violation(account, Reason::Unreadable).into());
            }
            sleep(PAUSE * 5).await;
        }
    }
}
