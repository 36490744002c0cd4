//! The agent's way to its controller: dials out, holds one stream, and dials again when that ends. It carries words
//! between the controller and the driver, and understands no more of them than that.

mod backoff;
mod stream;
pub(crate) mod uplink;

use crate::clock;
use crate::driver::Input;
use crate::inventory::Inventory;
use async_trait::async_trait;
use backoff::Backoff;
use curfew_proto::dial::{Dial, DialError};
use curfew_types::HostName;
use std::sync::Arc;
use std::time::Duration;
use stream::Ended;
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;

/// How a connection to the controller comes about. [`Dial`] does it with mutual TLS; tests have ways of their own.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// Connects once, in a bounded time.
    ///
    /// # Errors
    /// When the controller cannot be reached or does not let the agent in.
    async fn connect(&self) -> Result<Channel, DialError>;

    /// Where to, for the log.
    fn endpoint(&self) -> &str;
}

#[async_trait]
impl Connect for Dial {
    async fn connect(&self) -> Result<Channel, DialError> {
        Dial::connect(self).await
    }

    fn endpoint(&self) -> &str {
        Dial::endpoint(self)
    }
}

/// The link.
pub(crate) struct Link {
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) host: HostName,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) inputs_tx: mpsc::Sender<Input>,
    /// True once the stream is to be ended in good order.
    pub(crate) stop_rx: watch::Receiver<bool>,
    /// Whether the controller has welcomed the agent.
    pub(crate) attached_tx: watch::Sender<bool>,
}

impl Link {
    /// Keeps a stream to the controller until it is told to stop.
    pub(crate) async fn run(mut self) {
        // A hello tells the inventory's digest.
        self.inventory.wait_until_known().await;
        let mut backoff = Backoff::default();
        let mut said: Option<String> = None;
        loop {
            // One box a stream: the task stays small while it waits.
            let ended = Box::pin(self.hold_one_stream()).await;
            let pause = match ended {
                Ended::Stopped => return,
                Ended::Lost { lived, why } => {
                    backoff.lived(lived);
                    said = None;
                    tracing::warn!(endpoint = self.connect.endpoint(), "detached: {why}");
                    backoff.pause(clock::random())
                }
                Ended::Failed { why } => {
                    self.say_once(&mut said, why);
                    backoff.pause(clock::random())
                }
                Ended::Refused { why } => {
                    self.say_once(&mut said, why);
                    backoff.long_pause(clock::random())
                }
            };
            tracing::debug!(?pause, "dialling again");
            if self.rest(pause).await {
                return;
            }
        }
    }

    /// Says why there is no stream, when that is news.
    fn say_once(&self, said: &mut Option<String>, why: String) {
        let endpoint = self.connect.endpoint();
        if said.as_ref() == Some(&why) {
            tracing::debug!(endpoint, "still not attached: {why}");
        } else {
            tracing::warn!(endpoint, "not attached, and trying on: {why}");
            *said = Some(why);
        }
    }

    /// Waits; returns true if the agent stops meanwhile.
    async fn rest(&mut self, pause: Duration) -> bool {
        tokio::select! {
            // May be cancelled: the agent stops.
            () = tokio::time::sleep(pause) => false,
            // May be cancelled: the value stays.
            _ = self.stop_rx.wait_for(|stop| *stop) => true,
        }
    }
}
