//! What operators and automation call. A handler parses at the door, makes one call on a handle, converts back.

mod fleet;
mod operations;
mod page;
mod present;
mod watch;

pub use fleet::Fleet;
pub use operations::Operations;

use crate::driver::Unavailable;
use crate::store;
use curfew_controller_core::{CancelError, FleetError, StartError};
use curfew_proto::status::{bad_request, refusal};
use curfew_types::{StatusCode, Violation};
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
    #[error(transparent)]
    Store(#[from] store::Error),
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
            Error::Fleet(FleetError::UnknownHost(_)) | Error::NotFound(_) => Status::not_found(text),
            Error::Fleet(FleetError::UnknownGuest(_)) => refusal(StatusCode::VmUnknown, text),
            Error::Fleet(FleetError::Ambiguous { .. }) => one_field(StatusCode::InvalidArg, "guest", text),
            Error::Fleet(FleetError::Label(_) | FleetError::TooManyLabels) => {
                one_field(StatusCode::InvalidArg, "set", text)
            }
            Error::Fleet(FleetError::InUse { .. }) => Status::failed_precondition(text),
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

fn one_field(code: StatusCode, field: &str, why: String) -> Status {
    bad_request(code, &[Violation::new(field, why)])
}
