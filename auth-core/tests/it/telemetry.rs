//! Logs without secrets, and spans that join the caller's trace.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::database;
use crate::logged_in::authorization;
use crate::node::{EMAIL, PASSWORD, code, log_in};
use crate::process::{Process, wait_until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Stands in for Zipkin: takes what is posted and keeps it. The lab sends to the real one.
fn mock_zipkin() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v2/spans", listener.local_addr().unwrap());
    let spans = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let spans = Arc::clone(&spans);
        move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut length = 0;
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok() && line.trim() != "" {
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let accepted =
                    b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.get_mut().write_all(accepted).unwrap();
                let batch: Vec<Value> = serde_json::from_slice(&body).unwrap();
                spans.lock().unwrap().extend(batch);
            }
        }
    });
    (url, spans)
}

#[test]
fn spans_reach_zipkin_as_children_of_the_callers_span() {
    let w3c = format!("00-{TRACE}-{PARENT}-01");
    let undecided = format!("{TRACE}-{PARENT}");
    let [sampled, debugged] = ["1", "d"].map(|how| format!("{undecided}-{how}"));
    let sampled_long_ago = [
        ("x-b3-traceid", TRACE),
        ("x-b3-spanid", PARENT),
        ("x-b3-sampled", "true"),
    ];
    for headers in [
        &[("traceparent", w3c.as_str())][..],
        &[("b3", undecided.as_str())],
        &[("b3", sampled.as_str())],
        &[("b3", debugged.as_str())],
        &sampled_long_ago[..2],
        &sampled_long_ago,
    ] {
        let (url, spans) = mock_zipkin();
        let process = Process::start(&[&format!("tracing.zipkin_url={url}")]);
        process.sign_up(EMAIL, headers);
        process.signal("-TERM");
        let log = Arc::clone(&process.log);
        assert_eq!(process.end(), 0);
        let log = log.lock().unwrap();
        assert!(log.contains(&format!("\"trace_id\":\"{TRACE}\"")), "{log}");

        let spans = spans.lock().unwrap();
        let named = |name: &str| {
            let span = spans.iter().find(|span| span["name"] == name);
            span.unwrap_or_else(|| panic!("no span {name:?} in {spans:#?}"))
        };
        let request = named("POST /graphql");
        assert_eq!(
            (&request["traceId"], &request["parentId"]),
            (&TRACE.into(), &PARENT.into()),
            "{headers:?}"
        );
        assert_eq!(request["kind"], "SERVER");
        assert_eq!(request["localEndpoint"]["serviceName"], "auth-core");
        assert_eq!(request["tags"]["node"], "auth1");
        assert_eq!(request["tags"]["outcome"], "ok");
        let operation = named("signUp");
        assert_eq!(operation["parentId"], request["id"]);
        for name in ["wait for hash", "hash", "db add account"] {
            assert_eq!(
                (&named(name)["traceId"], &named(name)["parentId"]),
                (&TRACE.into(), &operation["id"]),
                "{name}"
            );
        }
        let statements = named("db add account")["tags"]["db.query.text"].to_string();
        for text in [
            "INSERT INTO accounts",
            "INSERT INTO sessions",
            "INSERT INTO audit",
            "$1",
        ] {
            assert!(statements.contains(text), "{text}: {statements}");
        }
        let everything = Value::from(spans.clone()).to_string();
        assert!(
            !everything.contains(PASSWORD) && !everything.contains(EMAIL),
            "{everything}"
        );
        // Health checks and scrapes are not traced.
        assert!(
            spans.iter().all(|span| span["traceId"] == TRACE),
            "{spans:#?}"
        );
    }
}

#[test]
fn of_the_traces_that_are_not_sampled_a_request_that_was_shed_is_exported() {
    let (url, spans) = mock_zipkin();
    let process = Process::start(&[
        &format!("tracing.zipkin_url={url}"),
        "tracing.sample_ratio=0.0",
        "password.concurrent_hashes=1",
        "password.queue_seconds=1",
        "password.scrypt.log_n=14",
        "password.scrypt.p=8",
    ]);
    let shed = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|number| {
                let process = &process;
                scope.spawn(move || process.sign_up(&format!("user{number}@example.com"), &[]))
            })
            .collect();
        let answers = asking.into_iter().map(|one| one.join().unwrap());
        answers
            .filter(|answer| code(answer) == "OVERLOADED")
            .count()
    });
    assert!(shed > 0);
    process.signal("-TERM");
    assert_eq!(process.end(), 0);
    let spans = spans.lock().unwrap();
    let outcomes: Vec<_> = spans
        .iter()
        .filter(|span| span["name"] == "POST /graphql")
        .map(|span| span["tags"]["outcome"].as_str().unwrap())
        .collect();
    assert!((1..=shed).contains(&outcomes.len()), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| *outcome == "overloaded"));
}

#[test]
fn of_the_traces_that_are_not_sampled_a_request_that_failed_is_exported_whole() {
    let (url, spans) = mock_zipkin();
    let process = Process::start(&[
        &format!("tracing.zipkin_url={url}"),
        "tracing.sample_ratio=0.0",
    ]);
    process.sign_up(EMAIL, &[]);
    let broken = "UPDATE accounts SET password_hash = 'broken'";
    database::run(&process.database, broken).unwrap();
    let header = format!("00-{TRACE}-{PARENT}-01");
    let variables = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = process.graphql(&[("traceparent", header.as_str())], &log_in(), variables);
    assert_eq!(code(&answer), "INTERNAL");
    process.signal("-TERM");
    assert_eq!(process.end(), 0);

    let spans = spans.lock().unwrap();
    assert!(
        spans.iter().all(|span| span["traceId"] == TRACE),
        "{spans:#?}"
    );
    let mut names: Vec<_> = spans
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let expected = [
        "POST /graphql",
        "db account by email",
        "db failed log-ins",
        "db failed log-ins",
        "hash",
        "logIn",
        "wait for hash",
    ];
    assert_eq!(names, expected);
}

#[test]
fn spans_that_do_not_reach_zipkin_are_counted_by_reason() {
    // It accepts connections, by the kernel's queue, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v2/spans", silent.local_addr().unwrap());
    let process = Process::start(&[&format!("tracing.zipkin_url={url}")]);
    let lost = |reason: &str| {
        let metrics = process.get("/metrics").body_mut().read_to_string().unwrap();
        let name = format!("auth_spans_dropped_total{{reason=\"{reason}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((lost("export_failed"), lost("queue_full")), (0, 0));
    process.graphql(&[], "{ me { id } }", json!({}));
    wait_until("the batch is given up", || lost("export_failed") > 0);
    wait_until("the queue is full", || {
        for _ in 0..100 {
            process.graphql(&[], "{ me { id } }", json!({}));
        }
        lost("queue_full") > 0
    });
}

/// What a node said that has ended.
fn lines(process: Process) -> Vec<Value> {
    process.signal("-TERM");
    let log = Arc::clone(&process.log);
    assert_eq!(process.end(), 0);
    let log = log.lock().unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Of that, the lines of requests.
fn requests(process: Process) -> Vec<Value> {
    let mut lines = lines(process);
    lines.retain(|line| line["message"] == "request");
    lines
}

#[test]
fn the_line_of_a_request_has_what_the_reference_says() {
    let process = Process::start(&[]);
    process.sign_up(
        EMAIL,
        &[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))],
    );
    let line = requests(process).remove(0);
    let page = std::fs::read_to_string("../docs/reference/logs.md").unwrap();
    for field in line.as_object().unwrap().keys() {
        assert!(page.contains(&format!("| `{field}` |")), "{field}");
    }
    insta::assert_json_snapshot!(line, { ".timestamp" => "[time]", ".duration_ms" => "[ms]" });
}

#[test]
fn what_goes_wrong_in_a_request_is_logged_with_its_trace() {
    let process = Process::start(&[]);
    let header = format!("00-{TRACE}-{PARENT}-01");
    let traced = [("traceparent", header.as_str())];
    let session = process.sign_up(EMAIL, &[])["data"]["signUp"].take();
    let refresh = "mutation($token: String!) { refresh(refreshToken: $token) { message } }";
    for _ in 0..2 {
        process.graphql(
            &traced,
            refresh,
            json!({ "token": session["refreshToken"] }),
        );
    }
    let broken = "UPDATE accounts SET password_hash = 'broken'";
    database::run(&process.database, broken).unwrap();
    let variables = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = process.graphql(&traced, &log_in(), variables);
    assert_eq!(code(&answer), "INTERNAL");

    let lines = lines(process);
    for message in [
        "an old refresh token was used: its session is ended",
        "internal error",
    ] {
        let line = lines
            .iter()
            .find(|line| line["message"] == message)
            .expect(message);
        assert_eq!(line["trace_id"], TRACE, "{line}");
    }
}

#[test]
fn a_log_line_has_the_callers_trace_without_a_zipkin_too() {
    let process = Process::start(&[]);
    process.sign_up(
        EMAIL,
        &[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))],
    );
    assert_eq!(requests(process)[0]["trace_id"], TRACE);
}

#[test]
fn requests_without_a_trace_start_one_each() {
    let process = Process::start(&[]);
    for email in ["ann@example.com", "bob@example.com"] {
        process.sign_up(email, &[]);
    }
    let ids: HashSet<_> = requests(process)
        .iter()
        .map(|line| line["trace_id"].as_str().unwrap().to_owned())
        .filter(|id| id.len() == 32 && id.bytes().any(|byte| byte != b'0'))
        .collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn what_changes_something_has_a_line_however_the_query_is_written() {
    let process = Process::start(&[]);
    let sign_up = format!("signUp(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ message }}");
    let log_in = format!("logIn(email: \"{EMAIL}\", password: \"{PASSWORD}\")");
    for query in [
        format!("mutation {{ __typename a: {sign_up} }}"),
        format!(
            "mutation {{ ...f }} fragment f on Mutation {{ __typename me: {log_in} {{ message }} }}"
        ),
        format!("mutation {{ {log_in} @skip(if: true) {{ message }} __typename }}"),
    ] {
        process.graphql(&[], &query, json!({}));
    }
    let lines = requests(process);
    let lines: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {}", line["operation"], line["outcome"]).replace('"', ""))
        .collect();
    assert_eq!(
        lines,
        ["signUp ok", "logIn ok"],
        "what is skipped does not happen"
    );
}

#[test]
fn what_only_reads_has_a_line_when_it_fails_or_when_one_debugs() {
    for (level, expected) in [
        ("info", &["signUp ok", "me unauthenticated"][..]),
        (
            "debug",
            &["signUp ok", "me ok", "verifyToken ok", "me unauthenticated"],
        ),
    ] {
        let process = Process::start(&[&format!("log.level={level}")]);
        let answer = process.sign_up(EMAIL, &[]);
        let token = answer["data"]["signUp"]["accessToken"].as_str().unwrap();
        let bearer = authorization(token);
        let ask = |headers: &[_], query: &str| process.graphql(headers, query, json!({}));
        ask(&[("authorization", &bearer)], "{ me { id } }");
        ask(&[], "{ verifyToken(token: \"x\") { valid } }");
        ask(&[], "{ me { id } }");
        let lines: Vec<_> = requests(process)
            .iter()
            .map(|line| {
                let of = |key: &str| line[key].as_str().unwrap().to_owned();
                format!("{} {}", of("operation"), of("outcome"))
            })
            .collect();
        assert_eq!(lines, expected, "{level}");
    }
}

#[test]
fn a_caller_who_does_not_sample_gets_no_span_but_its_trace_is_in_the_log() {
    let (url, spans) = mock_zipkin();
    let process = Process::start(&[&format!("tracing.zipkin_url={url}")]);
    let w3c = format!("00-{TRACE}-{PARENT}-00");
    let b3 = format!("{TRACE}-{PARENT}-0");
    let multiple = |sampled| {
        [
            ("x-b3-traceid", TRACE),
            ("x-b3-spanid", PARENT),
            ("x-b3-sampled", sampled),
        ]
    };
    process.sign_up("ann1@example.com", &[("traceparent", &w3c)]);
    process.sign_up("ann2@example.com", &[("b3", &b3)]);
    process.sign_up("ann3@example.com", &multiple("0"));
    process.sign_up("ann4@example.com", &multiple("false"));
    let requests = requests(process);
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|line| line["trace_id"] == TRACE));
    assert_eq!(*spans.lock().unwrap(), Vec::<Value>::new());
}

#[test]
fn a_zipkin_that_is_away_or_silent_stops_neither_requests_nor_the_shutdown() {
    // It accepts connections, by the kernel's queue, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = "http://127.0.0.1:1/api/v2/spans".to_owned();
    for url in [
        away,
        format!("http://{}/api/v2/spans", silent.local_addr().unwrap()),
    ] {
        let process = Process::start(&[&format!("tracing.zipkin_url={url}")]);
        for i in 0..20 {
            assert!(
                process.sign_up(&format!("ann{i}@example.com"), &[])["data"]["signUp"].is_object()
            );
        }
        process.signal("-TERM");
        assert_eq!(process.end(), 0);
    }
}

#[test]
fn log_lines_have_no_email_no_password_and_no_token() {
    let process = Process::start(&["log.level=trace"]);
    let answer = process.sign_up(EMAIL, &[("idempotency-key", "secret-key-1")]);
    let token = answer["data"]["signUp"]["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    process.sign_up(EMAIL, &[("authorization", &authorization(&token))]);
    process.sign_up("not an e-mail", &[]);
    let wrong = "not the right password";
    for password in [PASSWORD, wrong] {
        let variables = json!({ "email": EMAIL, "password": password });
        process.graphql(&[], &log_in(), variables);
    }
    let refresh_token = answer["data"]["signUp"]["refreshToken"].as_str().unwrap();
    let mut refreshed = Vec::new();
    // The second time it is an old one, which ends the session.
    for _ in 0..2 {
        let answer = process.graphql(
            &[],
            "mutation($token: String!) { refresh(refreshToken: $token) { accessToken refreshToken } }",
            json!({ "token": refresh_token }),
        );
        refreshed.push(answer["data"]["refresh"].clone());
    }
    let new_refresh_token = refreshed[0]["refreshToken"].as_str().unwrap();
    assert!(refreshed[1].is_null());
    process.signal("-TERM");
    let log = Arc::clone(&process.log);
    assert_eq!(process.end(), 0);
    let log = log.lock().unwrap();
    assert_eq!(log.matches("\"request\"").count(), 7);
    for secret in [
        EMAIL,
        PASSWORD,
        wrong,
        &token,
        refresh_token,
        new_refresh_token,
        "not an e-mail",
        "secret-key-1",
    ] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
