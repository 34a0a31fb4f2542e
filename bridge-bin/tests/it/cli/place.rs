//! A place for the real binary to run in.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::{Map, Value};
use tempfile::TempDir;

/// A data directory to be, and commands that see nothing else of the machine they run on.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory for the test"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path as an argument.
    pub(super) fn text(&self, name: &str) -> String {
        self.path(name)
            .to_str()
            .expect("a path in ASCII")
            .to_owned()
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// `zk-bridge` with the words of a line.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-bridge"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ZK_BRIDGE_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command
            .env("ZK_BRIDGE_DATA_DIR", self.data_dir())
            .args(line.split_whitespace());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn run(&self, line: &str) -> Ended {
        Ended::of(self.command(line))
    }

    pub(super) fn feed(&self, line: &str, input: &str) -> Ended {
        let mut child = self.command(line).spawn().expect("zk-bridge starts");
        let mut stdin = child.stdin.take().expect("its input");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let ended = Ended::from(child.wait_with_output().expect("zk-bridge ends"));
        writer
            .join()
            .expect("the writer ends")
            .expect("the input is read");
        ended
    }
}

/// What a command left.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self {
            code: output.status.code(),
            stdout,
            stderr,
        }
    }
}

impl Ended {
    pub(super) fn of(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .output()
            .expect("zk-bridge runs")
            .into()
    }

    #[track_caller]
    pub(super) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The one document on stdout.
    #[track_caller]
    pub(super) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// One document per line.
    #[track_caller]
    pub(super) fn lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The kind of the failure, which has words and a remedy.
    #[track_caller]
    pub(super) fn failure(&self) -> String {
        let document = self.document();
        let error = &document["error"];
        for field in ["message", "remedy"] {
            let text = error[field].as_str();
            assert!(text.is_some_and(|text| !text.is_empty()), "{document}");
        }
        assert_eq!(error.as_object().map(Map::len), Some(3), "{document}");
        error["kind"].as_str().expect("a kind").to_owned()
    }
}

/// A program that runs until the test ends.
pub(super) struct Running {
    pub(super) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) first: Value,
}

impl Running {
    pub(super) fn start(place: &Place, line: &str) -> Self {
        let mut child = place
            .command(line)
            .stderr(Stdio::null())
            .spawn()
            .expect("zk-bridge starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut running = Self {
            child,
            lines,
            first: Value::Null,
        };
        running.first = running.line();
        running
    }

    pub(super) fn line(&mut self) -> Value {
        let line = self.lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Sends a command on stdin; its answer.
    pub(super) fn say(&mut self, command: &Value) -> Value {
        let stdin = self.child.stdin.as_mut().expect("an open input");
        writeln!(stdin, "{command}").expect("it listens");
        self.line()
    }

    /// A text of the first document.
    pub(super) fn told(&self, name: &str) -> String {
        self.first[name].as_str().expect("a text").to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
