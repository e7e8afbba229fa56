//! What the gateways' logs say of the last seconds: each request, and the rate, errors and latency of each node.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// How far the page looks back.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// How many requests are remembered; of more in the window, the oldest are forgotten.
const REMEMBERED: usize = 20_000;
/// How many bytes of a log are read at a time; of more, only the end.
const READ_AT_ONCE: u64 = 4 << 20;

/// A request, as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    /// Counts up, so that the page knows which ones are new.
    number: u64,
    /// When the answer was out, in milliseconds since 1970.
    ended: u64,
    gateway: String,
    /// The node that answered; `null`: the gateway itself.
    node: Option<String>,
    /// The answer's status; -1 when the client had gone.
    status: i32,
    milliseconds: u64,
    method: String,
    path: String,
    trace: String,
    retries: u32,
}

/// A node in the last seconds.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Recent {
    /// `null`: the gateway itself.
    node: Option<String>,
    requests: usize,
    per_second: f64,
    /// Answers of 500 and above, and clients that left without one.
    failed: usize,
    /// Answers from 400 to 499.
    refused: usize,
    retried: usize,
    /// In milliseconds.
    p50: u64,
    p90: u64,
    p99: u64,
}

/// The gateways' logs, read as they grow.
#[derive(Debug)]
pub(super) struct Requests {
    logs: Vec<Log>,
    seen: VecDeque<Seen>,
    count: u64,
}

impl Requests {
    /// Of gateways, by their names and log files.
    pub fn new(logs: impl Iterator<Item = (String, PathBuf)>) -> Self {
        Self {
            logs: logs
                .map(|(gateway, file)| Log {
                    gateway,
                    file,
                    read: None,
                })
                .collect(),
            seen: VecDeque::new(),
            count: 0,
        }
    }

    /// Takes in what was written since the last time, and forgets what is long over.
    pub fn update(&mut self) {
        self.update_at(SystemTime::now());
    }

    fn update_at(&mut self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let begin = now.saturating_sub(WINDOW).as_millis() as u64;
        let mut new: Vec<_> = self.logs.iter_mut().flat_map(Log::new_requests).collect();
        new.retain(|request| request.ended >= begin);
        new.sort_by_key(|request| request.ended);
        for mut request in new {
            self.count += 1;
            request.number = self.count;
            self.seen.push_back(request);
        }
        while self.seen.len() > REMEMBERED || self.seen.front().is_some_and(|old| old.ended < begin)
        {
            self.seen.pop_front();
        }
    }

    /// The last ones, oldest first.
    pub fn last(&self, count: usize) -> Vec<Seen> {
        let skipped = self.seen.len().saturating_sub(count);
        self.seen.iter().skip(skipped).cloned().collect()
    }

    /// Each node that answered in the window.
    pub fn by_node(&self) -> Vec<Recent> {
        let mut nodes = BTreeMap::<Option<&str>, Vec<&Seen>>::new();
        for request in &self.seen {
            nodes
                .entry(request.node.as_deref())
                .or_default()
                .push(request);
        }
        nodes
            .into_iter()
            .map(|(node, requests)| Recent::of(node, &requests))
            .collect()
    }
}

impl Recent {
    fn of(node: Option<&str>, requests: &[&Seen]) -> Self {
        let count = |which: fn(&Seen) -> bool| requests.iter().filter(|seen| which(seen)).count();
        let mut times: Vec<_> = requests.iter().map(|seen| seen.milliseconds).collect();
        times.sort_unstable();
        // The nearest rank.
        let percentile = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
        Self {
            node: node.map(str::to_owned),
            requests: requests.len(),
            per_second: requests.len() as f64 / WINDOW.as_secs_f64(),
            failed: count(|seen| seen.status >= 500 || seen.status < 0),
            refused: count(|seen| (400..500).contains(&seen.status)),
            retried: count(|seen| seen.retries > 0),
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
        }
    }
}

/// The log of one gateway.
#[derive(Debug)]
struct Log {
    gateway: String,
    file: PathBuf,
    /// Up to where; `None` before the first time.
    read: Option<u64>,
}

/// What is read of a line; docs/reference/gateway.md has all of it.
#[derive(Deserialize)]
struct Line {
    message: String,
    trace_id: String,
    ended: String,
    method: String,
    path: String,
    status: i32,
    node: String,
    duration_ms: i64,
    retries: String,
}

impl Log {
    /// The requests of the whole lines that were written since the last time.
    fn new_requests(&mut self) -> Vec<Seen> {
        // Gone and written anew: from its beginning.
        let text = self.new_lines().unwrap_or_default();
        text.split(|byte| *byte == b'\n')
            .filter_map(|line| self.request(line))
            .collect()
    }

    fn new_lines(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.file)?;
        let end = file.metadata()?.len();
        let begin = self.read.filter(|read| *read <= end).unwrap_or(0);
        let begin = begin.max(end.saturating_sub(READ_AT_ONCE));
        file.seek(SeekFrom::Start(begin))?;
        let mut text = Vec::new();
        file.take(end - begin).read_to_end(&mut text)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        text.truncate(whole);
        self.read = Some(begin + whole as u64);
        Ok(text)
    }

    fn request(&self, line: &[u8]) -> Option<Seen> {
        let line: Line = serde_json::from_slice(line).ok()?;
        if line.message != "request" {
            return None;
        }
        Some(Seen {
            number: 0,
            ended: line.ended.parse::<u64>().ok()? / 1000,
            gateway: self.gateway.clone(),
            // A route names its servers with their ports.
            node: (line.node != "<NOSRV>")
                .then(|| line.node.split(':').next().unwrap_or_default().to_owned()),
            status: line.status,
            milliseconds: line.duration_ms.try_into().unwrap_or(0),
            method: line.method,
            path: line.path,
            trace: line.trace_id,
            // With a plus when another node was asked.
            retries: line.retries.trim_start_matches('+').parse().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(at: u64, node: &str, status: i32, milliseconds: u64, retries: &str) -> String {
        format!(
            "{{\"message\":\"request\",\"trace_id\":\"4bf9\",\"ended\":\"{}\",\"method\":\"POST\",\"path\":\"/graphql\",\
             \"status\":{status},\"node\":\"{node}\",\"duration_ms\":{milliseconds},\"retries\":\"{retries}\"}}\n",
            at * 1000
        )
    }

    fn log() -> (tempfile::NamedTempFile, Requests) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let requests = Requests::new([("gateway".to_owned(), file.path().to_owned())].into_iter());
        (file, requests)
    }

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn each_node_has_its_rate_errors_and_percentiles() {
        let (mut file, mut requests) = log();
        for number in 1..=100 {
            let status = match number {
                1..=3 => 503,
                4..=10 => 429,
                _ => 200,
            };
            let retries = if number == 50 { "+1" } else { "0" };
            write!(file, "{}", line(20_000, "auth1", status, number, retries)).unwrap();
        }
        write!(file, "{}", line(20_000, "<NOSRV>", 429, 0, "0")).unwrap();
        write!(file, "{}", line(20_000, "sample1:8080", -1, 7, "0")).unwrap();
        requests.update_at(at(21_000));
        let [itself, auth1, sample1] = &requests.by_node()[..] else {
            panic!()
        };
        let expected = Recent {
            node: Some("auth1".into()),
            requests: 100,
            per_second: 10.0,
            failed: 3,
            refused: 7,
            retried: 1,
            p50: 50,
            p90: 90,
            p99: 99,
        };
        assert_eq!(*auth1, expected);
        assert_eq!((&itself.node, itself.refused, itself.failed), (&None, 1, 0));
        assert_eq!(
            (sample1.node.as_deref(), sample1.failed, sample1.p99),
            (Some("sample1"), 1, 7)
        );
    }

    #[test]
    fn a_line_is_taken_once_when_it_is_whole_and_forgotten_when_it_is_old() {
        let (mut file, mut requests) = log();
        let text = line(20_000, "auth1", 200, 1, "0");
        let (half, rest) = text.split_at(40);
        write!(file, "[NOTICE] haproxy says something\n{half}").unwrap();
        requests.update_at(at(20_000));
        assert_eq!(requests.last(9).len(), 0);
        write!(file, "{rest}").unwrap();
        for _ in 0..2 {
            requests.update_at(at(20_000));
            assert_eq!(requests.last(9).len(), 1);
        }
        requests.update_at(at(30_001));
        assert_eq!(requests.last(9).len(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_log_written_anew_is_read_again() {
        let (mut file, mut requests) = log();
        let text: String = (0..REMEMBERED + 10)
            .map(|_| line(20_000, "auth1", 200, 1, "0"))
            .collect();
        file.write_all(text.as_bytes()).unwrap();
        requests.update_at(at(20_000));
        assert_eq!(requests.last(usize::MAX).len(), REMEMBERED);
        file.as_file().set_len(0).unwrap();
        file.as_file().seek(SeekFrom::Start(0)).unwrap();
        write!(file, "{}", line(20_001, "auth2", 200, 1, "0")).unwrap();
        requests.update_at(at(20_001));
        assert_eq!(requests.last(1)[0].node.as_deref(), Some("auth2"));
    }
}
