//! What operators and automation call. A handler parses at the door, makes one call on a handle, converts back.

mod fields;
mod fleet;
mod operations;
mod page;
mod present;
mod sessions;
mod watch;

pub use fleet::Fleet;
pub use operations::Operations;

use crate::driver::Unavailable;
use crate::store;
use curfew_controller_core::{CancelError, FleetError, StartError, SteerError};
use curfew_proto::convert::SpecError;
use curfew_proto::status::{bad_request, precondition, refusal};
use curfew_types::{OperationId, StatusCode, Violation};
use tonic::Status;

/// Everything that can go wrong in a call, before it becomes a status.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error("{what}: {error}")]
    Cancel { what: String, error: CancelError },
    #[error("{}", steer_text(id, error))]
    Steer { id: OperationId, error: SteerError },
    #[error("{}", spec_text(.0))]
    Spec(SpecError),
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Not as things stand now; the text says what to do.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Internal(String),
    /// An agent was asked and has not answered in time.
    #[error("{0}")]
    Late(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{field}: {why}")]
    Field { code: StatusCode, field: &'static str, why: String },
}

impl Error {
    fn invalid(field: &'static str, why: impl Into<String>) -> Error {
        Error::Field { code: StatusCode::InvalidArg, field, why: why.into() }
    }

    fn missing(field: &'static str) -> Error {
        Error::Field { code: StatusCode::Pointer, field, why: "it is required".into() }
    }
}

/// The one place where errors become statuses.
impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let text = error.to_string();
        match error {
            Error::Unavailable(Unavailable::StoreAway) | Error::Start(StartError::StoreAway) => {
                Status::unavailable(text)
            }
            Error::Unavailable(Unavailable::Stopped) | Error::Start(StartError::ShuttingDown) => {
                refusal(StatusCode::AppShuttingDown, text)
            }
            Error::Start(StartError::Invalid(violations)) => bad_request(StatusCode::InvalidArg, &violations),
            Error::Start(StartError::Missing(violations)) => bad_request(StatusCode::Pointer, &violations),
            Error::Start(StartError::UnknownGuests(_)) => refusal(StatusCode::VmUnknown, text),
            Error::Start(StartError::RequestIdReused(_)) => Status::already_exists(text),
            Error::Start(StartError::Frozen { .. }) => precondition("FLEET_FROZEN", text),
            Error::Start(StartError::CountDiffers { .. }) => precondition("COUNT_DIFFERS", text),
            Error::Start(StartError::DigestDiffers { .. }) => precondition("DIGEST_DIFFERS", text),
            Error::Refused(_) => precondition("OPERATION_STATE", text),
            Error::Spec(SpecError::Missing(violations)) => bad_request(StatusCode::Pointer, &violations),
            Error::Spec(SpecError::Invalid(violations)) => bad_request(StatusCode::InvalidArg, &violations),
            Error::Fleet(FleetError::UnknownHost(_)) | Error::NotFound(_) => Status::not_found(text),
            Error::Fleet(FleetError::UnknownGuest(_)) => refusal(StatusCode::VmUnknown, text),
            Error::Fleet(FleetError::Ambiguous { .. }) => one_field(StatusCode::InvalidArg, "guest", text),
            Error::Fleet(FleetError::Label(_) | FleetError::TooManyLabels) => {
                one_field(StatusCode::InvalidArg, "set", text)
            }
            Error::Fleet(FleetError::InUse { .. }) => Status::failed_precondition(text),
            Error::Fleet(FleetError::NotHeld(_) | FleetError::NotProtected(_)) => Status::not_found(text),
            Error::Fleet(FleetError::Held { .. }) => precondition("GUEST_HELD", text),
            Error::Fleet(FleetError::Conflict { .. }) => precondition("GUEST_CONFLICT", text),
            Error::Fleet(FleetError::HostAway { .. }) => Status::unavailable(text),
            Error::Fleet(FleetError::AgentLacks { .. }) => {
                refusal(StatusCode::AdditionsFeatureNotAvail, text)
            }
            Error::Fleet(FleetError::TooMany(_)) => precondition("TOO_MANY", text),
            Error::Fleet(FleetError::Past) => one_field(StatusCode::InvalidArg, "expire_time", text),
            Error::Steer { error: SteerError::NotInMemory, .. } => Status::not_found(text),
            Error::Steer { error: SteerError::Ended | SteerError::Refused(_), .. } => {
                precondition("OPERATION_STATE", text)
            }
            Error::Steer { error: SteerError::OwnRequest, .. } => refusal(StatusCode::AccessDenied, text),
            Error::Internal(_) => Status::internal(text),
            Error::Late(_) => refusal(StatusCode::TimedOut, text),
            Error::Cancel { error: CancelError::Ended, .. } => refusal(StatusCode::Fail, text),
            Error::Cancel { error: CancelError::NotInMemory, .. } => Status::not_found(text),
            Error::Store(store::Error::Away { .. }) => Status::unavailable(text),
            Error::Store(error) => {
                tracing::error!("the store cannot be read: {error}");
                refusal(StatusCode::Unexpected, text)
            }
            Error::Field { code, field, why } => one_field(code, field, why),
        }
    }
}

impl From<SpecError> for Error {
    fn from(error: SpecError) -> Error {
        Error::Spec(error)
    }
}

/// What is wrong, with the operation's name where the text does not have it already.
fn steer_text(id: &OperationId, error: &SteerError) -> String {
    match error {
        SteerError::Refused(why) => why.clone(),
        other => format!("operation {id}: {other}"),
    }
}

fn spec_text(error: &SpecError) -> String {
    match error {
        SpecError::Missing(violations) | SpecError::Invalid(violations) => Violation::describe(violations),
    }
}

fn one_field(code: StatusCode, field: &str, why: String) -> Status {
    bad_request(code, &[Violation::new(field, why)])
}
