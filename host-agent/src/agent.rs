//! A whole agent in a process: ledger, driver, link and inventory, started together and stopped in order. The
//! program runs one; tests and the demo run many in one process.

use crate::clock;
use crate::driver::{Driver, INPUTS_DEPTH, Stop};
use crate::inventory::Inventory;
use crate::ledger::{Ledger, LedgerError};
use crate::link::{Connect, Link};
use crate::provider::Provider;
use curfew_agent_core::{Core, Settings};
use curfew_types::{Guest, HostName};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often guests are discovered unless the configuration says otherwise: a guest that was just started can be
/// logged off soon after, and a host of a hundred guests spends well under a percent of a core on it.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10);
/// How long tasks that run may go on when the agent is to stop: what most logoffs need, and a third of what
/// service managers wait before they kill.
pub const STOP_GRACE: Duration = Duration::from_secs(30);
/// How long the link may take to say its last words after that, with time to spare.
const LINK_GRACE: Duration = Duration::from_secs(5);

/// What an agent is made of.
pub struct Agent {
    /// The host's name, as its certificate says it.
    pub host: HostName,
    /// The way to the controller: a `curfew_proto::dial::Dial`, usually.
    pub connect: Arc<dyn Connect>,
    /// Where the ledger lies; an agent's own.
    pub data_dir: PathBuf,
    /// What reaches its guests, the preferred ones first.
    pub providers: Vec<Arc<dyn Provider>>,
    /// How often guests are discovered.
    pub discovery_interval: Duration,
    /// How long tasks that run may go on when it is to stop.
    pub stop_grace: Duration,
    /// What the core is told.
    pub settings: Settings,
}

impl Agent {
    /// An agent with the usual settings.
    pub fn new(
        host: HostName,
        connect: Arc<dyn Connect>,
        data_dir: PathBuf,
        providers: Vec<Arc<dyn Provider>>,
    ) -> Agent {
        Agent {
            host,
            connect,
            data_dir,
            providers,
            discovery_interval: DISCOVERY_INTERVAL,
            stop_grace: STOP_GRACE,
            settings: Settings::default(),
        }
    }

    /// Opens the ledger and starts. Must be called within a tokio runtime; costs three tasks, two file descriptors
    /// and, while attached, a connection.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub fn start(self) -> Result<AgentHandle, LedgerError> {
        let opened = Ledger::open(&self.data_dir)?;
        if opened.torn > 0 {
            tracing::warn!(bytes = opened.torn, "cut off the end of the ledger, which a crash had torn");
        }
        let incarnation = opened.ledger.incarnation();
        let core = Core::recover(clock::now(), self.settings, clock::boot(), incarnation, opened.entries);
        let inventory = Inventory::new(self.providers);
        let (inputs_tx, inputs_rx) = mpsc::channel(INPUTS_DEPTH);
        let stop_driver = watch::Sender::new(Stop::No);
        let stop_link = watch::Sender::new(false);
        let attached_tx = watch::Sender::new(false);
        let attached_rx = attached_tx.subscribe();
        let driver = Driver::new(
            core,
            opened.ledger,
            Arc::clone(&inventory),
            (inputs_tx.clone(), inputs_rx),
            stop_driver.subscribe(),
        );
        let link = Link {
            connect: self.connect,
            host: self.host,
            inventory: Arc::clone(&inventory),
            inputs_tx,
            stop_rx: stop_link.subscribe(),
            attached_tx,
        };
        let discovery = Arc::clone(&inventory).keep_current(self.discovery_interval);
        Ok(AgentHandle {
            stop_driver,
            stop_link,
            attached_rx,
            inventory,
            stop_grace: self.stop_grace,
            driver: tokio::spawn(driver.run()),
            link: tokio::spawn(link.run()),
            discovery: tokio::spawn(discovery),
        })
    }
}

/// A running agent. Dropping it ends the agent as a crash would, without a word to anybody.
#[derive(Debug)]
pub struct AgentHandle {
    stop_driver: watch::Sender<Stop>,
    stop_link: watch::Sender<bool>,
    attached_rx: watch::Receiver<bool>,
    inventory: Arc<Inventory>,
    stop_grace: Duration,
    driver: JoinHandle<()>,
    link: JoinHandle<()>,
    discovery: JoinHandle<()>,
}

impl AgentHandle {
    /// Stops: takes no more orders, lets what runs go on for a while, says what is left to say, and ends. What does
    /// not end in time goes on after the next start.
    pub async fn stop(mut self) {
        self.stop_driver.send_replace(Stop::By(Instant::now() + self.stop_grace));
        // A driver that panicked has stopped.
        (&mut self.driver).await.ok();
        self.stop_link.send_replace(true);
        tokio::time::timeout(LINK_GRACE, &mut self.link).await.ok();
    }

    /// Ends as a crash would, and returns when nothing of the agent runs any more.
    pub async fn kill(mut self) {
        for task in [&mut self.driver, &mut self.link, &mut self.discovery] {
            task.abort();
            task.await.ok();
        }
    }

    /// Returns once a controller has welcomed the agent, or the agent has ended.
    pub async fn wait_until_attached(&self) {
        self.attached_rx.clone().wait_for(|attached| *attached).await.ok();
    }

    /// Whether a stream to a controller stands.
    pub fn is_attached(&self) -> bool {
        *self.attached_rx.borrow()
    }

    /// The guests, as last discovered.
    pub fn guests(&self) -> Vec<Guest> {
        self.inventory.guests()
    }

    /// Returns when the agent has ended by itself, which only a defect makes it do.
    pub async fn wait_until_broken(&mut self) {
        tokio::select! {
            // May be cancelled: the tasks go on.
            _ = &mut self.driver => {}
            // May be cancelled: the tasks go on.
            _ = &mut self.link => {}
        }
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        for task in [&self.driver, &self.link, &self.discovery] {
            task.abort();
        }
    }
}
