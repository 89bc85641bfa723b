//! The processes that `bench` and `demo` start: a server and a receiver, each
//! this same program. They stand in process groups of their own, so that Ctrl-C
//! reaches only whoever started them, who then ends them in order.

use std::{
    env,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, timeout},
};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const READY_WITHIN: Duration = Duration::from_secs(15);
/// The receivers of these processes are on this machine.
const LOOPBACK: &str = "127.0.0.0/8, ::1/128";
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// A `postrider serve` on a data folder.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts a server that asks nobody for a key, and waits until it is ready.
    /// Its log is kept in the folder, and a `postrider.toml` there is its
    /// configuration.
    pub(super) async fn start(folder: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let log = folder.join("server.log");
        let output = File::create(&log)?;
        let child = Command::new(env::current_exe()?)
            .args(["serve", "--log-format", "text", "--data-dir", "store"])
            .args(["--auth", "none"])
            .args(["--listen", &address.to_string()])
            .current_dir(folder)
            .env("POSTRIDER_DELIVERY_ALLOW", LOOPBACK)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let mut server = Self {
            child,
            address,
            log,
        };
        server.ready().await?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where its log is.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until the process ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => self.failure(&format!("the server ended ({status})")),
            Err(error) => error.into(),
        }
    }

    /// Asks the process to end and waits for it; ends it by force when it takes
    /// too long.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            return Ok(());
        };
        kill_process(pid, Signal::TERM)?;
        let Ok(status) = timeout(STOPPED_WITHIN, self.child.wait()).await else {
            self.child.kill().await?;
            return Err(self.failure("the server did not end in time"));
        };
        if !status?.success() {
            return Err(self.failure("the server did not end cleanly"));
        }
        Ok(())
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !is_ready(self.address).await {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("the server ended ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.failure("the server was not ready in time"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What went wrong, with the end of the log.
    fn failure(&self, what: &str) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(5).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        anyhow::anyhow!("{what}; {}:\n{}", self.log.display(), last.join("\n"))
    }
}

/// A `postrider receiver`. It ends when its standard input is dropped.
pub(super) struct Receiver {
    child: Child,
    _stdin: Option<ChildStdin>,
    port: u16,
}

impl Receiver {
    /// Starts a receiver with these options.
    pub(super) async fn start(options: &[&str]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Announcement {
            port: u16,
        }
        let mut child = Command::new(env::current_exe()?)
            .arg("receiver")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the receiver has no output")?;
        let mut line = String::new();
        let mut lines = BufReader::new(stdout);
        timeout(READY_WITHIN, lines.read_line(&mut line))
            .await
            .context("the receiver was not ready in time")??;
        let Ok(Announcement { port }) = serde_json::from_str(&line) else {
            bail!("the receiver did not start");
        };
        Ok(Self {
            child,
            _stdin: stdin,
            port,
        })
    }

    /// Its base URL, without a slash at the end.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// A folder of this process that is removed when it is dropped.
pub(super) struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Creates an empty folder among the temporary files.
    pub(super) fn create(name: &str) -> io::Result<Self> {
        let path = fresh_folder(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// A name among the temporary files that this process alone has.
pub(super) fn fresh_folder(name: &str) -> PathBuf {
    env::temp_dir().join(format!("{name}-{}", std::process::id()))
}

/// The address with its port if that is free, with another port otherwise.
pub(super) fn free_address(wanted: SocketAddr) -> io::Result<SocketAddr> {
    let any_port = SocketAddr::from((wanted.ip(), 0));
    TcpListener::bind(wanted)
        .or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse => TcpListener::bind(any_port),
            _ => Err(error),
        })?
        .local_addr()
}

/// Any free port of this machine.
pub(super) fn any_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else {
        return false;
    };
    let endpoint = endpoint.connect_timeout(Duration::from_secs(1));
    let Ok(channel) = endpoint.timeout(Duration::from_secs(1)).connect().await else {
        return false;
    };
    let request = HealthCheckRequest {
        service: "readiness".into(),
    };
    let answer = HealthClient::new(channel).check(request).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}
