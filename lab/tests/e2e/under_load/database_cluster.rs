//! The database survives its machine: three members of Patroni and of etcd, of which any one may be lost.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lab::{
    TopologyName,
    history::Recorder,
    members::{ETCD, Fault, MEMBERS, Members},
    watch,
};

use crate::chromium::Chromium;
use crate::support::{CHEAP, SERVING, TestStack, eventually, start_with};
use crate::watch::card;

/// From the death of the primary to the first writes on its successor.
const WRITES_AGAIN: Duration = Duration::from_secs(15);

/// One test, as the start of such a stack is what takes time.
#[tokio::test]
async fn a_killed_member_of_etcd_goes_unnoticed_and_a_killed_primary_takes_no_acknowledged_write_along()
 {
    let parts = [&ETCD[..], &MEMBERS, &["database"], SERVING].concat();
    let stack = start_with(TopologyName::Ha, &parts, Some(CHEAP)).await;
    let members = Members::of(&stack.stack).unwrap();
    members.until_whole().await.unwrap();

    let _served = watch::open(stack.stack.clone()).await.unwrap();
    let browser = Chromium::start(1000, 1000).await;
    let page = format!("http://{}", stack.stack.page_address());
    browser.open(&page).await;
    let is_shown = async || {
        let primary = members.primary().await.expect("there is a primary");
        let says = format!("{}.textContent.includes('primary')", card(primary));
        eventually("the page shows who the primary is", || async {
            (browser.try_value(&says).await.ok()? == true).then_some(())
        })
        .await;
    };

    is_shown().await;
    without_a_member_of_etcd(&stack, &members).await;
    without_the_primary(&stack, &members).await;
    is_shown().await;
}

async fn without_a_member_of_etcd(stack: &TestStack, members: &Members<'_>) {
    let primary = members.primary().await.expect("there is a primary");
    let fault = async {
        eventually("auth1 answers requests", || async {
            (stack.served("auth1").await > 20).then_some(())
        })
        .await;
        stack.stack.kill_part(ETCD[0]).await.unwrap();
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        eventually("the others decide without it", || async {
            let health = format!("{}/health", stack.url(ETCD[1]));
            let answer = stack.client.get(health).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        eventually("the primary has asked them since", || async {
            let status = stack.json(&format!("{}/patroni", stack.url(primary))).await;
            (status["dcs_last_seen"].as_u64()? > killed.as_secs() + 1).then_some(())
        })
        .await;
        stack.stack.start_part(ETCD[0]).await.unwrap();
    };
    let (load, ()) = tokio::join!(stack.load(8, 50, 12), fault);
    load.assert_no_failure();
    assert_eq!(members.primary().await, Some(primary));
}

async fn without_the_primary(stack: &TestStack, members: &Members<'_>) {
    let recorder = Recorder::new(&stack.stack, fastrand::u64(..)).unwrap();
    let acknowledged = async |more: usize| {
        let enough = recorder.acknowledged() + more;
        eventually(&format!("{more} more calls are acknowledged"), || async {
            (recorder.acknowledged() >= enough).then_some(())
        })
        .await;
    };
    let history = recorder.run(async {
        acknowledged(50).await;
        let begin = Instant::now();
        let mut broken = members.break_primary(Fault::Killed).await?;
        members.until_replaced(&mut broken).await?;
        acknowledged(10).await;
        let took = begin.elapsed();
        assert!(took < WRITES_AGAIN, "writes again after {took:?}");
        members.mend(broken).await?;
        acknowledged(50).await;
        Ok(())
    });
    let history = recorder.read(history.await.unwrap()).await.unwrap();
    let summary = history
        .check()
        .unwrap_or_else(|violation| panic!("{violation}"));
    assert!(summary.acknowledged >= 110, "{summary} show nothing");
}

/// As a PostgreSQL that Patroni has started.
#[test]
fn a_daemon_ends_with_the_host_that_has_started_it() {
    let mark = format!("{}.5", 100_000 + std::process::id());
    let status = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["host", "--group", "7701", "--", "sh", "-c"])
        .arg(format!("setsid sleep {mark} & exit 3"))
        .status()
        .expect("lab runs");
    assert_eq!(status.code(), Some(3));
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let left = commands
        .map(|command| String::from_utf8_lossy(&command).replace('\0', " "))
        .filter(|command| command.contains(&mark));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}
