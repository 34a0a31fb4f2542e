//! A real `PostgreSQL` for tests: the machine's own binaries, a server of our own, a database per test.
//!
//! The shared server is started by the first test process that asks and used by all that overlap with it. Each holds
//! a lock on a file; a watchman outside of them stops the server when nobody does any more, however they ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sea_orm::{ConnectionTrait, Database};

/// A server, running until nobody uses it any more.
#[derive(Debug)]
pub(crate) struct Server {
    binaries: PathBuf,
    dir: PathBuf,
    port: u16,
    /// Locked for as long as this process needs the server.
    _in_use: File,
}

/// The address of an empty database on the shared server, or `None` where `PostgreSQL` is not installed, which is said
/// loudly, and fails in CI.
pub(crate) async fn database() -> Option<String> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    let server = SHARED.get_or_init(|| Some(Server::shared(binaries()?)));
    Some(server.as_ref()?.database().await)
}

/// A server of the test's own, to be stopped and started at will.
pub(crate) fn private() -> Option<Server> {
    let lock = tempfile::tempdir().expect("a directory").keep();
    Some(Server::start(binaries()?, &lock.join("in-use"), None))
}

impl Server {
    fn shared(binaries: PathBuf) -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let starting = lock_file(&place.join("postgres.starting"));
        starting.lock().expect("the lock of whoever starts it");
        let running = place.join("postgres.running");
        let in_use = place.join("postgres.in-use");
        let lock = lock_file(&in_use);
        // Waits for a server that is just being stopped.
        lock.lock_shared().expect("the lock of whoever uses it");
        let found = fs::read_to_string(&running).ok().and_then(|text| {
            let (port, dir) = text.split_once(' ')?;
            Some((port.parse().ok()?, PathBuf::from(dir)))
        });
        if let Some((port, dir)) = found
            && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        {
            return Self {
                binaries,
                dir,
                port,
                _in_use: lock,
            };
        }
        drop(lock);
        Self::start(binaries, &in_use, Some(&running))
    }

    /// Starts a server that lives as long as somebody holds a lock on `in_use`.
    fn start(binaries: PathBuf, in_use: &Path, running: Option<&Path>) -> Self {
        let lock = lock_file(in_use);
        lock.lock_shared().expect("the lock of whoever uses it");
        let dir = tempfile::Builder::new()
            .prefix("zk-bridge-postgres-")
            .tempdir_in("/tmp")
            .expect("a directory for the server")
            .keep();
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(&dir));
        }
        let data = dir.join("data");
        succeed(
            as_postgres(&binaries.join("initdb"))
                .args([
                    "--no-sync",
                    "--auth=trust",
                    "--username=postgres",
                    "--encoding=UTF8",
                ])
                // An order of its own, so that a test sees whether ours is really that of bytes.
                .args([
                    "--locale=C.UTF-8",
                    "--locale-provider=icu",
                    "--icu-locale=en",
                ])
                .arg("--pgdata")
                .arg(&data),
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n\
             full_page_writes = off\nmax_connections = 300\n"
        );
        OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .and_then(|mut file| file.write_all(settings.as_bytes()))
            .expect("the server's settings");
        let server = Self {
            binaries,
            dir,
            port,
            _in_use: lock,
        };
        server.watch(in_use, running);
        server.run();
        if let Some(running) = running {
            let text = format!("{} {}", server.port, server.dir.display());
            fs::write(running, text).expect("where the server is");
        }
        server
    }

    /// Leaves somebody behind who stops the server and clears up once nobody holds the lock.
    fn watch(&self, in_use: &Path, running: Option<&Path>) {
        const WATCH: &str = r#"
            while ! flock --exclusive --nonblock 9; do sleep 1; done
            [ -z "$3" ] || rm -f "$3"
            $1 -D "$2/data" -m immediate stop
            rm -rf "$2"
            [ -n "$3" ] || rm -rf "$(dirname "$4")"
        "#;
        // It outlives this process, in a session of its own.
        let started = Command::new("setsid")
            .arg("--fork")
            .args(["sh", "-c", &format!("exec 9<>\"$4\"; {WATCH}"), "watch"])
            .arg(words(&as_postgres(&self.binaries.join("pg_ctl"))))
            .arg(&self.dir)
            .arg(running.unwrap_or(Path::new("")))
            .arg(in_use)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("somebody who stops the server in the end");
        assert!(started.success());
    }

    fn control(&self, arguments: &[&str]) {
        succeed(
            as_postgres(&self.binaries.join("pg_ctl"))
                .arg("--pgdata")
                .arg(self.dir.join("data"))
                .arg("--log")
                .arg(self.dir.join("data/log"))
                .arg("--wait")
                .args(arguments),
        );
    }

    /// Starts it, again if need be, and waits until it answers.
    pub(crate) fn run(&self) {
        self.control(&["start"]);
    }

    /// Stops it as a power failure would.
    pub(crate) fn kill(&self) {
        self.control(&["stop", "--mode=immediate"]);
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The address of a new, empty database.
    pub(crate) async fn database(&self) -> String {
        let name = format!(
            "test_{}",
            bridge_bin::secret::hex(&bridge_bin::secret::random::<8>())
        );
        let db = Database::connect(self.url("postgres"))
            .await
            .expect("the server answers");
        db.execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .expect("a database for the test");
        db.close().await.expect("the end of a connection");
        self.url(&name)
    }
}

/// Where the machine's own `PostgreSQL` is.
fn binaries() -> Option<PathBuf> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .find(|dir| dir.join("initdb").is_file());
    let debian = || {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let version = entry.file_name().to_str()?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
            .filter(|(_, dir)| dir.join("initdb").is_file())
            .collect();
        versions.sort();
        Some(versions.pop()?.1)
    };
    let found = on_path.or_else(debian);
    if found.is_none() {
        const MISSING: &str = "PostgreSQL is not installed (Debian: apt-get install postgresql)";
        assert!(std::env::var_os("CI").is_none(), "{MISSING}");
        // Not `eprintln`, which a test that passes would swallow.
        let _ = writeln!(
            io::stderr(),
            "\nWARNING: {MISSING}: this test did NOT run on it.\n"
        );
    }
    found
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(1) == Some("0"))
}

/// `PostgreSQL` refuses to run as root; Debian's package makes a user for it.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(program)
        .current_dir("/");
    command
}

fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn lock_file(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .open(path)
        .expect("a file to lock")
}

/// Its output goes to a file, never to a pipe that a server left behind would keep open.
fn succeed(command: &mut Command) {
    let mut output = tempfile::tempfile().expect("a file for what it says");
    let said = || output.try_clone().expect("the same file");
    let status = command
        .stdin(Stdio::null())
        .stdout(said())
        .stderr(said())
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if !status.success() {
        let mut text = String::new();
        let _ = io::Seek::rewind(&mut output);
        let _ = io::Read::read_to_string(&mut output, &mut text);
        panic!("{command:?}: {status}\n{text}");
    }
}
