//! A whole fleet in one process: a controller on SQLite with its own CA, and agents over mutual TLS on loopback.
//!
//! Everything is what the programs run; only the processes are missing.

use anyhow::Context as _;
use curfew_agent::provider::simulated::{Simulated, SimulatedConfig};
use curfew_agent::{Agent, AgentHandle};
use curfew_cli::client::Client;
use curfew_controller::Controller;
use curfew_controller::data_dir::DataDir;
use curfew_controller::pki::{Authority, Issued, Material, PkiSource};
use curfew_controller::store::SqliteStore;
use curfew_controller::tls::{Listener, ServerTls};
use curfew_proto::context::{Context, DEFAULT_CONTEXT, with_context};
use curfew_proto::dial::{Credentials, Dial};
use curfew_proto::identity::TrustDomain;
use curfew_types::HostName;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The controller's data directory, within the fleet's.
const CONTROLLER: &str = "controller";
/// How long a fleet may take to attach: 10,000 handshakes take 8 s on the reference machine, in release mode.
const ATTACH_WITHIN: Duration = Duration::from_secs(60);

/// A fleet that runs in this process.
pub struct LocalFleet {
    directory: tempfile::TempDir,
    controller: Controller,
    agents: LocalAgents,
    operator: Issued,
}

/// Agents with simulated guests that run in this process, of a controller in this one or another.
pub struct LocalAgents {
    endpoint: String,
    authority: Authority,
    ledgers: tempfile::TempDir,
    agents: Vec<AgentHandle>,
}

impl LocalAgents {
    /// Agents to come of the controller at `endpoint`, whose data directory has the authority that they need.
    ///
    /// # Errors
    /// When that cannot be opened.
    pub fn of(endpoint: String, data_dir: &DataDir) -> anyhow::Result<LocalAgents> {
        let authority = Authority::open(data_dir, &TrustDomain::default())?;
        Ok(LocalAgents { endpoint, authority, ledgers: ledger_directory()?, agents: Vec::new() })
    }

    /// Starts an agent with simulated guests.
    ///
    /// # Errors
    /// When its certificate cannot be issued or its configuration makes no sense.
    pub fn add(&mut self, host: &str, guests: &SimulatedConfig) -> anyhow::Result<()> {
        let host: HostName = host.parse()?;
        let issued = self.authority.issue_agent(&host)?;
        let dial = Dial::new(&self.endpoint, self.credentials(&issued)?)?;
        let provider = Simulated::new(guests, &host)?;
        let data_dir = self.ledgers.path().join(host.as_str());
        let agent = Agent::new(host, Arc::new(dial), data_dir, vec![Arc::new(provider)]);
        self.agents.push(agent.start()?);
        Ok(())
    }

    /// Stops them all and removes their ledgers.
    ///
    /// # Errors
    /// When those cannot be removed.
    pub async fn stop(self) -> anyhow::Result<()> {
        futures::future::join_all(self.agents.into_iter().map(AgentHandle::stop)).await;
        self.ledgers.close().context("removing the agents' ledgers")
    }

    fn credentials(&self, issued: &Issued) -> anyhow::Result<Credentials> {
        let (certificate, key) = (issued.certificate_pem.as_bytes(), issued.key_pem.as_bytes());
        Ok(Credentials::from_pem(self.authority.certificate_pem().as_bytes(), certificate, key)?)
    }
}

impl LocalFleet {
    /// Starts a controller with its own data directory and CA, on a free port of loopback.
    ///
    /// # Errors
    /// When any part of it cannot start.
    pub async fn start(settings: curfew_controller_core::Settings) -> anyhow::Result<LocalFleet> {
        let directory =
            tempfile::Builder::new().prefix("curfew-").tempdir().context("a temporary directory")?;
        let data_dir = DataDir::ensure(&directory.path().join(CONTROLLER))?;
        let domain = TrustDomain::default();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let material = Material::ensure(&PkiSource::BuiltIn, &data_dir, &domain, &names)?;
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), ServerTls::new(material)?)?;
        let store = SqliteStore::open(&data_dir.store()).await?;
        let controller = Controller::start(Arc::new(store), listener, settings).await?;
        let endpoint = format!("https://localhost:{}", controller.address().port());
        let agents = LocalAgents::of(endpoint, &data_dir)?;
        let operator = agents.authority.issue_operator("demo")?;
        Ok(LocalFleet { directory, controller, agents, operator })
    }

    /// Starts an agent with simulated guests.
    ///
    /// # Errors
    /// When its certificate cannot be issued or its configuration makes no sense.
    pub fn add_agent(&mut self, host: &str, guests: &SimulatedConfig) -> anyhow::Result<()> {
        self.agents.add(host, guests)
    }

    /// Waits until every agent is attached and its guests are in the inventory.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait_until_attached(&self, guests: usize) -> anyhow::Result<()> {
        let attached = async {
            for agent in &self.agents.agents {
                agent.wait_until_attached().await;
            }
            let handle = self.controller.handle();
            loop {
                let known =
                    handle.ask_safer(|core, _| core.guests(None, usize::MAX, |_| true).len()).await?.value;
                if known >= guests {
                    return anyhow::Ok(());
                }
                // The inventory has no event to wait for from outside: look again shortly.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(ATTACH_WITHIN, attached).await.context("the agents did not attach in time")?
    }

    /// A client of the controller, as an operator.
    ///
    /// # Errors
    /// When it cannot connect.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let dial = Dial::new(&self.endpoint(), self.credentials(&self.operator)?)?;
        Ok(Client::new(dial.connect().await?, self.endpoint()))
    }

    /// Writes a context file for `curfew` with the operator's credentials, and says where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_context(&self) -> anyhow::Result<PathBuf> {
        let directory = self.directory.path().join("operator");
        std::fs::create_dir_all(&directory)?;
        let file = |name: &str, contents: &str| -> anyhow::Result<PathBuf> {
            let path = directory.join(name);
            curfew_controller::data_dir::write_private(&path, contents.as_bytes())?;
            Ok(path)
        };
        let context = Context {
            endpoint: self.endpoint(),
            ca: file("ca.pem", self.agents.authority.certificate_pem())?,
            certificate: file("cert.pem", &self.operator.certificate_pem)?,
            key: file("key.pem", &self.operator.key_pem)?,
            server_name: None,
        };
        file("config.toml", &with_context("", DEFAULT_CONTEXT, &context)?)
    }

    /// The controller.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The authority that signs for this fleet.
    pub fn authority(&self) -> &Authority {
        &self.agents.authority
    }

    /// Where clients reach the controller.
    pub fn endpoint(&self) -> String {
        self.agents.endpoint.clone()
    }

    /// The controller's data directory.
    pub fn controller_directory(&self) -> PathBuf {
        self.directory.path().join(CONTROLLER)
    }

    /// Where everything of it lies.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Credentials made of a certificate that was issued here.
    ///
    /// # Errors
    /// When it is not usable.
    pub fn credentials(&self, issued: &Issued) -> anyhow::Result<Credentials> {
        self.agents.credentials(issued)
    }

    /// Stops agents and controller, and removes everything.
    ///
    /// # Errors
    /// When the controller did not end well.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.agents.stop().await?;
        self.controller.stop().await?;
        self.directory.close().context("removing the temporary directory")
    }
}

/// Where the agents' ledgers lie: in memory where the machine has a place for that. Hundreds of hosts share one disk
/// here, which no real fleet does.
fn ledger_directory() -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("curfew-ledgers-");
    let made = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.context("a directory for the agents' ledgers")
}
