//! A real browser: Debian's Chromium without a window, led by its DevTools protocol over two pipes.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::timeout,
};

/// An answer that takes longer is not going to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of pictures: smaller files, and letters that can be read.
const SCALE: f64 = 0.8;

/// A browser with one page. It ends with the test, and leaves nothing behind.
pub struct Chromium {
    pipe: Mutex<Pipe>,
    process: Child,
    group: Pid,
    _profile: TempDir,
}

struct Pipe {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    count: u64,
    /// Of the page that is open.
    session: Option<String>,
    events: Vec<Value>,
}

impl Chromium {
    /// Starts it, with an empty page of this size.
    pub async fn start(width: u32, height: u32) -> Self {
        let profile = TempDir::with_prefix("authstack-chromium-").unwrap();
        // It takes commands from file descriptor 3 and answers on 4, each message ended by a NUL.
        let mut process = Command::new("sh")
            .args([
                "-c",
                "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>\"$HOME/log\"",
                "sh",
            ])
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--disable-gpu",
                "--no-first-run",
            ])
            // Root, and /dev/shm as small as in a container, are what a test may have.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            // Nothing but what the page itself asks for.
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-breakpad",
            ])
            .arg(format!(
                "--user-data-dir={}",
                profile.path().join("profile").display()
            ))
            .arg("about:blank")
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("sh starts");
        let group = Pid::from_raw(process.id().expect("it has just started") as i32).unwrap();
        let pipe = Pipe {
            commands: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            count: 0,
            session: None,
            events: Vec::new(),
        };
        let browser = Self {
            pipe: Mutex::new(pipe),
            process,
            group,
            _profile: profile,
        };
        let target = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach).await;
        browser.pipe.lock().await.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser
            .call("Emulation.setDeviceMetricsOverride", size)
            .await;
        browser
    }

    /// Sends a command of the [protocol](https://chromedevtools.github.io/devtools-protocol/) and answers its result.
    pub async fn call(&self, method: &str, parameters: Value) -> Value {
        let mut pipe = self.pipe.lock().await;
        let answer = timeout(PATIENCE, pipe.call(method, parameters)).await;
        answer.unwrap_or_else(|_| panic!("{method} is not answered"))
    }

    /// Opens an address, and waits until its document is there.
    pub async fn open(&self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url })).await;
        assert_eq!(opened["errorText"], Value::Null, "{url}");
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        let value = self.try_value(expression).await;
        value.unwrap_or_else(|exception| panic!("{expression}: {exception}"))
    }

    /// The same, or the exception that it throws.
    pub async fn try_value(&self, expression: &str) -> Result<Value, Value> {
        let wanted =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", wanted).await;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].clone()),
            exception => Err(exception.clone()),
        }
    }

    /// Clicks the middle of the element that `expression` gives, as a mouse does.
    pub async fn click(&self, expression: &str) {
        let middle = format!(
            "(element => {{ element.scrollIntoView({{ block: 'center' }}); const box = element.getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2]; }})({expression})"
        );
        let middle = self.value(&middle).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses a key.
    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            "Space" => (32, Some(" ")),
            other => panic!("which key is {other}?"),
        };
        let name = if key == "Space" { " " } else { key };
        let mut event =
            json!({ "type": "keyDown", "key": name, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event.clone()).await;
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event).await;
    }

    /// What the page looks like, as PNG; from so far down, beyond what is seen at once, too.
    pub async fn picture(&self, top: f64, width: u32, height: u32) -> Vec<u8> {
        let clip = json!({ "x": 0, "y": top, "width": width, "height": height, "scale": SCALE });
        let wanted = json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", wanted).await;
        STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }

    /// Makes sure that no page has complained until now, in the console or by an exception.
    pub async fn assert_silent(&self) {
        for event in [
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ] {
            assert_eq!(self.events(event).await, Vec::<Value>::new());
        }
    }

    /// The parameters of all events of this name until now.
    pub async fn events(&self, method: &str) -> Vec<Value> {
        // Events come before the answer to what is asked after them.
        self.value("0").await;
        let pipe = self.pipe.lock().await;
        let events = pipe.events.iter().filter(|event| event["method"] == method);
        events.map(|event| event["params"].clone()).collect()
    }
}

impl Pipe {
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.count += 1;
        let mut message = json!({ "id": self.count, "method": method, "params": parameters });
        // Targets are the browser's; all else is asked of the page.
        if let Some(session) = &self.session
            && !method.starts_with("Target.")
        {
            message["sessionId"] = session.as_str().into();
        }
        let message = message.to_string() + "\0";
        self.commands
            .write_all(message.as_bytes())
            .await
            .expect("Chromium runs");
        loop {
            let mut message = Vec::new();
            self.answers
                .read_until(0, &mut message)
                .await
                .expect("Chromium answers");
            assert_eq!(
                message.pop(),
                Some(0),
                "Chromium has ended: is it installed?"
            );
            let message: Value = serde_json::from_slice(&message).expect("Chromium answers JSON");
            if message["id"] == self.count {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        // Before its profile can be removed, all of it must have gone.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5)
            && (matches!(self.process.try_wait(), Ok(None))
                || test_kill_process_group(self.group).is_ok())
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
