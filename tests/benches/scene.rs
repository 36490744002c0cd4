//! Where a bench plays: one authority for all, and on it fleets of two kinds, the floor's and Curfew's. Every server and
//! every few thousand agents have a process of their own.

use crate::child::{Answer, Ask, Child, Truth};
use crate::usage::Usage;
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use curfew_cli::client::Client;
use curfew_controller::data_dir::DataDir;
use curfew_controller::pki::{Authority, Issued, Material, PkiSource, TrustDomain};
use curfew_proto::dial::{Credentials, Dial};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Descriptors beside those that are counted.
pub(crate) const SPARE_FILES: u64 = 1_000;
/// Agents in one process: each has a connection and a ledger, and common limits allow 20,000 open files.
const AGENTS_PER_PROCESS: u32 = 5_000;
/// How often it is looked whether all agents are attached: each look walks over all hosts, which is no part of the storm.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Far longer than 10,000 handshakes take.
const ATTACH_WITHIN: Duration = Duration::from_secs(120);

/// What a fleet consists of, and what a process of it is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetArgs {
    /// The first host of these agents.
    #[arg(long, default_value_t = 1)]
    pub(crate) first_host: u32,
    /// The last host.
    #[arg(long)]
    pub(crate) last_host: u32,
    /// Guests on each.
    #[arg(long)]
    pub(crate) guests: u32,
    /// Within how many milliseconds sessions go, each at its own time; 0 is at once.
    #[arg(long, default_value_t = 0)]
    pub(crate) spread_ms: u32,
    /// Sessions stay for an hour after they were asked to end.
    #[arg(long)]
    pub(crate) lasting: bool,
    /// How often either side of a quiet stream says something, in milliseconds.
    #[arg(long, default_value_t = 15_000)]
    pub(crate) heartbeat_ms: u64,
    /// The floor's server: sessions can be resumed after it was restarted, as with the controller.
    #[arg(long)]
    pub(crate) resumes: bool,
    /// The server's port; 0 is any.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The server's data directory, where the authority lies.
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    /// Where ledgers lie; memory where it is not said.
    #[arg(long)]
    pub(crate) ledgers: Option<PathBuf>,
}

impl FleetArgs {
    /// How many hosts.
    pub(crate) fn hosts(&self) -> u32 {
        self.last_host + 1 - self.first_host
    }

    /// Where the server listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The same for a process in a role.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec![
            format!("--first-host={}", self.first_host),
            format!("--last-host={}", self.last_host),
            format!("--guests={}", self.guests),
            format!("--spread-ms={}", self.spread_ms),
            format!("--heartbeat-ms={}", self.heartbeat_ms),
            format!("--port={}", self.port),
            format!("--data-dir={}", self.data_dir.display()),
        ];
        words.extend(self.lasting.then(|| "--lasting".to_owned()));
        words.extend(self.resumes.then(|| "--resumes".to_owned()));
        words.extend(self.ledgers.as_ref().map(|ledgers| format!("--ledgers={}", ledgers.display())));
        words
    }
}

/// The directory where a server keeps its things.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn data_dir(path: &Path) -> anyhow::Result<DataDir> {
    Ok(DataDir::ensure(path)?)
}

/// A way to a server with a certificate that was issued here.
///
/// # Errors
/// When the certificate does not fit.
pub(crate) fn dial(authority: &Authority, endpoint: &str, issued: &Issued) -> anyhow::Result<Dial> {
    let (certificate, key) = (issued.certificate_pem.as_bytes(), issued.key_pem.as_bytes());
    let credentials = Credentials::from_pem(authority.certificate_pem().as_bytes(), certificate, key)?;
    Ok(Dial::new(endpoint, credentials)?)
}

/// A client of a fleet's controller, as an operator.
///
/// # Errors
/// When it cannot connect.
pub(crate) async fn client(args: &FleetArgs) -> anyhow::Result<Client> {
    let authority = Authority::open(&data_dir(&args.data_dir)?, &TrustDomain::default())?;
    let dial = dial(&authority, &args.endpoint(), &authority.issue_operator("bench")?)?;
    Ok(Client::new(dial.connect().await?, args.endpoint()))
}

/// Where everything of a bench lies.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    /// A new one on a disk.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn new() -> anyhow::Result<Scene> {
        let directory = tempfile::Builder::new().prefix("curfew-bench-").tempdir().context("a directory")?;
        Ok(Scene { directory })
    }

    /// A place in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a fleet of these hosts is told; its server's things lie in `name`.
    ///
    /// # Errors
    /// When the authority cannot be made.
    pub(crate) fn fleet(&self, name: &str, hosts: u32, guests: u32) -> anyhow::Result<FleetArgs> {
        let data_dir = self.path(name);
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        Material::ensure(&PkiSource::BuiltIn, &self::data_dir(&data_dir)?, &TrustDomain::default(), &names)?;
        Ok(FleetArgs {
            first_host: 1,
            last_host: hosts,
            guests,
            spread_ms: 0,
            lasting: false,
            heartbeat_ms: 15_000,
            resumes: false,
            port: 0,
            data_dir,
            ledgers: None,
        })
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The bare wire.
    Floor,
    /// Controller and agents.
    Curfew,
}

impl Kind {
    fn roles(self) -> (&'static str, &'static str) {
        match self {
            Kind::Floor => ("floor-server", "floor-agents"),
            Kind::Curfew => ("controller", "agents"),
        }
    }
}

/// A fleet that runs.
pub(crate) struct Fleet {
    pub(crate) kind: Kind,
    pub(crate) args: FleetArgs,
    pub(crate) server: Child,
    agents: Vec<Child>,
    /// What the server had used before anybody attached.
    pub(crate) empty: Usage,
}

impl Fleet {
    /// Starts the server, and agents that are told to start with [`Fleet::attach`].
    ///
    /// # Errors
    /// When a process does not start.
    pub(crate) async fn start(kind: Kind, mut args: FleetArgs) -> anyhow::Result<Fleet> {
        let (mut server, port) = Child::start(kind.roles().0, &args.words()).await?;
        args.port = port.parse().context("the server's port")?;
        let empty = server.usage().await?;
        let mut agents = Vec::new();
        let mut first = args.first_host;
        while first <= args.last_host {
            let last = args.last_host.min(first + AGENTS_PER_PROCESS - 1);
            let share = FleetArgs { first_host: first, last_host: last, ..args.clone() };
            agents.push(Child::start(kind.roles().1, &share.words()).await?.0);
            first = last + 1;
        }
        Ok(Fleet { kind, args, server, agents, empty })
    }

    /// Lets all agents attach, and returns how long that took.
    ///
    /// # Errors
    /// When they do not in time.
    pub(crate) async fn attach(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for agents in &mut self.agents {
            agents.ask(Ask::Start).await?;
        }
        self.wait_until_attached().await?;
        let took = began.elapsed();
        if self.kind == Kind::Curfew {
            let guests = u64::from(self.args.hosts()) * u64::from(self.args.guests);
            self.wait_for(Ask::Guests, guests).await?;
        }
        Ok(took)
    }

    /// Waits until the server has all agents.
    ///
    /// # Errors
    /// When it does not in time.
    pub(crate) async fn wait_until_attached(&mut self) -> anyhow::Result<()> {
        self.wait_for(Ask::Attached, self.args.hosts().into()).await
    }

    async fn wait_for(&mut self, ask: Ask, wanted: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let there = self.server.count(ask).await?;
            if there >= wanted {
                return Ok(());
            }
            ensure!(
                began.elapsed() < ATTACH_WITHIN,
                "only {there} of {wanted} were there in {ATTACH_WITHIN:?}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills the server and starts it again on the same port; returns when it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn restart_server(self) -> anyhow::Result<Fleet> {
        // Two at a time would want the same port and the same store.
        self.server.kill().await?;
        let (server, _) = Child::start(self.kind.roles().0, &self.args.words()).await?;
        Ok(Fleet { server, ..self })
    }

    /// Everybody logs on again.
    ///
    /// # Errors
    /// When a process with agents does not answer.
    pub(crate) async fn log_on(&mut self) -> anyhow::Result<()> {
        for agents in &mut self.agents {
            agents.ask(Ask::LogOn).await?;
        }
        Ok(())
    }

    /// What became of people since they logged on last.
    ///
    /// # Errors
    /// When a process with agents does not answer.
    pub(crate) async fn truth(&mut self) -> anyhow::Result<Truth> {
        let mut all = Truth::default();
        for agents in &mut self.agents {
            match agents.ask(Ask::Truth).await? {
                Answer::Truth(truth) => all = all.and(truth),
                other => bail!("an agents' process answered {other:?}"),
            }
        }
        Ok(all)
    }

    /// What all processes with agents have used.
    ///
    /// # Errors
    /// When one does not answer.
    pub(crate) async fn agents_usage(&mut self) -> anyhow::Result<Vec<Usage>> {
        let mut usage = Vec::new();
        for agents in &mut self.agents {
            usage.push(agents.usage().await?);
        }
        Ok(usage)
    }

    /// A client of the controller, as an operator.
    ///
    /// # Errors
    /// When it cannot connect.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        client(&self.args).await
    }

    /// Ends all of it. Agents go as in a crash: their ledgers lie in memory, and nobody looks at them again.
    ///
    /// # Errors
    /// When a process does not end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for agents in self.agents {
            agents.stop().await?;
        }
        self.server.stop().await
    }
}
