//! The connection to a controller: its two services, the time a call may take, and its errors in words.

use crate::error::CallError;
use crate::explain;
use curfew_proto::context::Context;
use curfew_proto::dial::DialError;
use curfew_proto::v1::fleet_service_client::FleetServiceClient;
use curfew_proto::v1::operation_service_client::OperationServiceClient;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// How long a call may take that does not wait for guests: a preview of a large fleet takes seconds.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer: a page of 1000 tasks, each at most a few kilobytes, stays far below it.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// A connection to a controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    endpoint: String,
}

impl Client {
    /// Connects to a context's controller.
    ///
    /// # Errors
    /// When its files cannot be used or the controller cannot be reached; the text says what to do.
    pub async fn connect(context: &Context) -> Result<Client, DialError> {
        let dial = context.dial()?;
        Ok(Client::new(dial.connect().await?, dial.endpoint()))
    }

    /// Over a channel that is there already; `endpoint` is its address, for messages.
    pub fn new(channel: Channel, endpoint: impl Into<String>) -> Client {
        Client { channel, endpoint: endpoint.into() }
    }

    /// The controller's address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Fleet-wide logoffs.
    pub fn operations(&self) -> OperationServiceClient<Channel> {
        OperationServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX)
    }

    /// Hosts, guests, sessions.
    pub fn fleet(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX)
    }

    /// Awaits an answer; `attempted` says what was asked, as in "cannot {attempted}".
    ///
    /// # Errors
    /// When the controller could not be asked or said no.
    pub async fn ask<T>(
        &self,
        attempted: impl Into<String>,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        match answer.await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.error(attempted, &status)),
        }
    }

    /// A status in words.
    pub fn error(&self, attempted: impl Into<String>, status: &Status) -> CallError {
        CallError {
            attempted: attempted.into(),
            code: status.code(),
            is_lost: explain::is_lost(status),
            why: explain::explain(status, &self.endpoint),
        }
    }
}

/// A request that must be answered soon.
pub fn soon<T>(message: T) -> Request<T> {
    within(message, CALL_TIMEOUT)
}

/// A request that must be answered within `time`.
pub fn within<T>(message: T, time: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}
