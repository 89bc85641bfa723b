//! A PostgreSQL cluster of the tests' own, from the binaries that are
//! installed: begun where it is first needed, and gone with the test process,
//! however that ends.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use postrider::storage::postgres::{Url, migrate};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// The oldest version that postrider works with.
const OLDEST: u32 = 15;

/// Where packages put the binaries.
const INSTALLED: &str = "/usr/lib/postgresql";

/// What ends the cluster: it reads until the test process has ended, whose end
/// of the pipe closes then, killed or not.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
read -r _
"$1/pg_ctl" --pgdata "$2/data" --mode immediate stop >/dev/null 2>&1
rm -rf "$2"
"#;

/// Whether the cluster survives a power cut, as a real one does, which costs
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    On,
    Off,
}

/// A running cluster.
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    databases: AtomicUsize,
    /// A database that is migrated and that nobody uses.
    template: OnceCell<()>,
    watchdog: Child,
}

/// As whom the server runs where the tests run as root, which it refuses.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// The one that the tests share, which does not sync.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(Fsync::Off));
        &SHARED
    }

    /// One of its own; it ends when it is dropped.
    pub fn start(fsync: Fsync) -> Self {
        let bin = binaries();
        let user = rustix::process::getuid().is_root().then(User::of_package);
        let folder = tempfile::Builder::new()
            .prefix("postrider-pg-")
            .tempdir()
            .unwrap()
            .keep();
        if let Some(user) = user {
            chown(&folder, Some(user.uid), Some(user.gid)).unwrap();
        }
        let mut watchdog = command("sh", user);
        watchdog
            .args(["-c", WATCHDOG, "watchdog"])
            .args([&bin, &folder])
            .stdin(Stdio::piped())
            .process_group(0);
        let watchdog = watchdog.spawn().expect("there is a shell");
        let cluster = Self {
            bin,
            folder,
            user,
            databases: AtomicUsize::new(0),
            template: OnceCell::new(),
            watchdog,
        };
        cluster.init(fsync);
        cluster.start_again();
        cluster
    }

    /// Starts the server again after it was stopped.
    pub fn start_again(&self) {
        let log = self.folder.join("log");
        let mut start = self.control();
        start.arg("--log").arg(&log).args(["--wait", "start"]);
        if !start.status().unwrap().success() {
            let log = fs::read_to_string(log).unwrap_or_default();
            panic!("PostgreSQL does not start:\n{log}");
        }
    }

    /// Stops the server as a crash would: without a word to anybody.
    pub fn crash(&self) {
        let mut stop = self.control();
        stop.args(["--mode", "immediate", "--wait", "stop"]);
        assert!(stop.status().unwrap().success(), "PostgreSQL stops");
    }

    /// A database that is migrated and empty, and its address as text.
    pub async fn database(&self) -> (Url, String) {
        let template = self.template.get_or_init(|| async {
            self.execute("CREATE DATABASE template_migrated").await;
            migrate(&self.url("template_migrated")).await.unwrap();
        });
        template.await;
        self.copy_of("template_migrated").await
    }

    /// A database that nothing was done to yet.
    pub async fn bare_database(&self) -> (Url, String) {
        self.copy_of("template1").await
    }

    async fn copy_of(&self, template: &str) -> (Url, String) {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("case_{number}");
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await;
        (self.url(&name), self.text_url(&name))
    }

    async fn execute(&self, statement: &str) {
        let client = connect(&self.text_url("postgres")).await;
        client.batch_execute(statement).await.unwrap();
    }

    fn url(&self, database: &str) -> Url {
        self.text_url(database).parse().unwrap()
    }

    /// The address of a database as text.
    fn text_url(&self, database: &str) -> String {
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}/{database}?sslmode=disable")
    }

    fn init(&self, fsync: Fsync) {
        let data = self.folder.join("data");
        let mut init = command(self.bin.join("initdb"), self.user);
        init.arg("--pgdata").arg(&data).args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        let output = init.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (syncs, memory) = match fsync {
            Fsync::On => ("on", "shared_buffers = 256MB\nmax_wal_size = 4GB"),
            Fsync::Off => ("off", "shared_buffers = 64MB"),
        };
        let settings = format!(
            "listen_addresses = ''\n\
             unix_socket_directories = '{}'\n\
             max_connections = 300\n\
             {memory}\n\
             fsync = {syncs}\n\
             full_page_writes = {syncs}\n",
            self.folder.display()
        );
        let file = fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"));
        file.unwrap().write_all(settings.as_bytes()).unwrap();
    }

    fn control(&self) -> Command {
        let mut control = command(self.bin.join("pg_ctl"), self.user);
        control
            .arg("--pgdata")
            .arg(self.folder.join("data"))
            .args(["--timeout", "60", "--silent"]);
        control
    }
}

/// Lets the watchdog end it, and waits for that. The shared one is never
/// dropped, so its watchdog notices the end of the process.
impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// A connection of a test's own to a database.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl User {
    /// The user that the package of PostgreSQL makes.
    fn of_package() -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let fields = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields
            .filter(|fields| fields.first() == Some(&"postgres"))
            .find_map(|fields| {
                let number = |at: usize| fields.get(at)?.parse().ok();
                Some(Self {
                    uid: number(2)?,
                    gid: number(3)?,
                })
            });
        found.expect(
            "PostgreSQL does not run as root: run the tests as another user, or add a user \
             named postgres, as the package postgresql does",
        )
    }
}

/// A command that says nothing and reads nothing.
///
/// Another program changes the user. To do so here would take a fork of the
/// tests' own process, which for a while would hold whatever file another test
/// has locked and lets go of.
fn command(program: impl AsRef<OsStr>, user: Option<User>) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some(User { uid, gid }) => {
            let mut command = Command::new("setpriv");
            command
                .args([format!("--reuid={uid}"), format!("--regid={gid}")])
                .args(["--clear-groups", "--"])
                .arg(program);
            command
        }
    };
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The folder of the binaries: the first on the `PATH` that is new enough, else
/// the newest of the packages.
fn binaries() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    let mut installed: Vec<_> = fs::read_dir(INSTALLED).into_iter().flatten().collect();
    installed.sort_by_key(|entry| {
        let entry = entry.as_ref().ok();
        let name = entry.and_then(|entry| entry.file_name().into_string().ok());
        std::cmp::Reverse(name.and_then(|name| name.parse::<u32>().ok()))
    });
    let installed = installed.into_iter().flatten();
    folders.extend(installed.map(|entry| entry.path().join("bin")));
    let found = folders.into_iter().find(|folder| {
        let there = ["initdb", "pg_ctl", "postgres"].map(|name| folder.join(name).is_file());
        there == [true; 3] && version(folder).is_some_and(|version| version >= OLDEST)
    });
    found.unwrap_or_else(|| {
        panic!(
            "this test needs PostgreSQL {OLDEST} or newer: install it (apt-get install \
             postgresql), or put its initdb, pg_ctl and postgres on the PATH"
        )
    })
}

/// The version of `postgres (PostgreSQL) 15.6`.
fn version(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().nth(2)?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
