//! The controller as one thing that starts and stops: driver, services and the listener, put together.

use crate::driver::{Driver, Handle};
use crate::link::Attachments;
use crate::services::{Fleet, Operations};
use crate::sessions::Queries;
use crate::store::{self, Store};
use crate::tls::Listener;
use curfew_controller_core::Settings;
use curfew_proto::FILE_DESCRIPTOR_SET;
use curfew_proto::agent::v1::agent_service_server::AgentServiceServer;
use curfew_proto::v1::fleet_service_server::FleetServiceServer;
use curfew_proto::v1::operation_service_server::OperationServiceServer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::transport::Server;

/// Largest message of an operator: the largest request names 10,000 patterns of 640 bytes.
const OPERATOR_MESSAGE_MAX: usize = 8 * 1024 * 1024;
/// Largest message of an agent: 1,000 findings or guests with 64 labels each fit well.
const AGENT_MESSAGE_MAX: usize = 8 * 1024 * 1024;
/// How long a connection may be silent before it is asked for a sign of life, and how long that may take. Agents'
/// heartbeats come sooner, so that this is for operators' watches and waits.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Calls of one connection at a time: a client's watches and waits; an agent has one.
const STREAMS_PER_CONNECTION: u32 = 256;
/// How long connections may take to end at a stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Why a controller could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store.
    #[error("cannot go on without the store")]
    Store(#[from] store::Error),
    /// The port.
    #[error("cannot use the port")]
    Port(#[from] io::Error),
    /// Reflection.
    #[error("cannot describe the services")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport.
    #[error("cannot serve")]
    Transport(#[from] tonic::transport::Error),
    /// A task of it.
    #[error("a part of the controller ended by itself: {0}")]
    Part(&'static str),
}

/// A controller that runs.
pub struct Controller {
    address: SocketAddr,
    handle: Handle,
    driver: JoinHandle<Result<(), store::Error>>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Controller {
    /// Goes on from what the store knows, and serves on the listener's port.
    ///
    /// # Errors
    /// When the store cannot be read or the port not be used.
    pub async fn start(
        store: Arc<dyn Store>,
        listener: Listener,
        settings: Settings,
    ) -> Result<Controller, ServerError> {
        let recovered = store.load().await?;
        tracing::info!(
            epoch = recovered.epoch + 1,
            hosts = recovered.hosts.len(),
            unfinished_operations = recovered.operations.len(),
            "the store is read"
        );
        let (driver, handle) = Driver::new(store.clone(), settings, recovered);
        let driver = tokio::spawn(driver.run());
        let address = listener.local_addr()?;
        let heartbeat = Duration::from_millis(settings.heartbeat_ms);
        let queries = Arc::new(Queries::default());
        let operations = OperationServiceServer::new(Operations::new(handle.clone(), store, queries.clone()))
            .max_decoding_message_size(OPERATOR_MESSAGE_MAX);
        let fleet = FleetServiceServer::new(Fleet::new(handle.clone(), queries.clone()))
            .max_decoding_message_size(OPERATOR_MESSAGE_MAX);
        let agents = AgentServiceServer::new(Attachments::new(handle.clone(), queries, heartbeat))
            .max_decoding_message_size(AGENT_MESSAGE_MAX);
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let stopping = handle.clone();
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(operations)
            .add_service(fleet)
            .add_service(agents)
            .serve_with_incoming_shutdown(listener.accept(), async move { stopping.stopping().await });
        let server = tokio::spawn(server);
        tracing::info!(%address, "serving");
        Ok(Controller { address, handle, driver, server })
    }

    /// The address it serves on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How to reach its core, for a host program that has it in the same process.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until a part of it ends by itself, which is never a good end.
    ///
    /// # Errors
    /// Always: why it ended.
    pub async fn failed(&mut self) -> ServerError {
        // Both arms may be cancelled: a join handle can be polled again.
        tokio::select! {
            ended = &mut self.driver => match ended {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) | Err(_) => ServerError::Part("the driver"),
            },
            ended = &mut self.server => match ended {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) | Err(_) => ServerError::Part("the server"),
            },
        }
    }

    /// Stops: nothing new is taken on, streams end, what was written is kept. What runs goes on at the next start.
    ///
    /// # Errors
    /// When the store refused the last of it.
    pub async fn stop(self) -> Result<(), ServerError> {
        let Controller { handle, driver, mut server, .. } = self;
        // A driver that is gone has nothing left to stop.
        let _ = handle.begin_stop().await;
        if tokio::time::timeout(DRAIN_WITHIN, &mut server).await.is_err() {
            tracing::warn!("some connections did not end within 5 s: cut");
            server.abort();
        }
        // A connection that was cut may hold a handle for a while: the driver does not wait for it.
        let _ = handle.finish().await;
        match driver.await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(ServerError::Part("the driver")),
        }
    }
}
