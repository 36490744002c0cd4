//! Who calls: the identity of the verified client certificate, and which service it may use.

use crate::tls::PeerInfo;
use curfew_proto::identity::Identity;
use curfew_proto::status::refusal;
use curfew_types::{HostName, StatusCode};
use tonic::{Request, Status};

/// The host whose agent calls.
///
/// # Errors
/// When the caller's certificate is not an agent's.
pub fn require_agent<T>(request: &Request<T>) -> Result<HostName, Status> {
    let peer = peer(request)?;
    match &peer.identity {
        Identity::Agent(host) => Ok(host.clone()),
        Identity::Operator(_) | Identity::Controller => Err(wrong_kind(peer, "an agent's")),
    }
}

/// The name of the operator who calls.
///
/// # Errors
/// When the caller's certificate is not an operator's.
pub fn require_operator<T>(request: &Request<T>) -> Result<String, Status> {
    let peer = peer(request)?;
    match &peer.identity {
        Identity::Operator(name) => Ok(name.clone()),
        Identity::Agent(_) | Identity::Controller => Err(wrong_kind(peer, "an operator's")),
    }
}

fn peer<T>(request: &Request<T>) -> Result<&PeerInfo, Status> {
    let missing = || Status::unauthenticated("the connection has no verified client certificate");
    request.extensions().get::<PeerInfo>().ok_or_else(missing)
}

fn wrong_kind(peer: &PeerInfo, wanted: &str) -> Status {
    tracing::warn!(peer = ?peer, "refused: this call needs {wanted} certificate");
    refusal(StatusCode::AccessDenied, format!("this call needs {wanted} certificate"))
}
