//! The mapping of the contract's codes and of bad requests to gRPC statuses, in one place.

use curfew_types::status::RpcCode;
use curfew_types::{StatusCode, Violation};
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "curfew";

/// The gRPC code of the vocabulary's.
pub fn rpc_code(code: RpcCode) -> Code {
    match code {
        RpcCode::Ok => Code::Ok,
        RpcCode::Internal => Code::Internal,
        RpcCode::InvalidArgument => Code::InvalidArgument,
        RpcCode::PermissionDenied => Code::PermissionDenied,
        RpcCode::DeadlineExceeded => Code::DeadlineExceeded,
        RpcCode::FailedPrecondition => Code::FailedPrecondition,
        RpcCode::NotFound => Code::NotFound,
        RpcCode::Unavailable => Code::Unavailable,
    }
}

/// A refusal with the contract's code, which goes along in a `google.rpc.ErrorInfo`.
pub fn refusal(code: StatusCode, message: impl Into<String>) -> Status {
    let mut details = ErrorDetails::new();
    add_code(&mut details, code);
    Status::with_error_details(rpc_code(code.rpc()), message, details)
}

/// A refusal for which the contract has no code: FAILED_PRECONDITION, with a word for programs in the
/// `google.rpc.ErrorInfo`.
pub fn precondition(word: &str, message: impl Into<String>) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(word, ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// A refusal that names the fields, with `E_INVALIDARG` or `E_POINTER`.
pub fn bad_request(code: StatusCode, violations: &[Violation]) -> Status {
    let mut details = ErrorDetails::new();
    add_code(&mut details, code);
    for violation in violations {
        details.add_bad_request_violation(violation.field.as_str(), violation.why.as_str());
    }
    Status::with_error_details(rpc_code(code.rpc()), Violation::describe(violations), details)
}

/// The contract's code in a status, if it carries one.
pub fn contract_code(status: &Status) -> Option<StatusCode> {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
    let hresult = info.metadata.get("hresult")?.strip_prefix("0x")?;
    StatusCode::from_value(u32::from_str_radix(hresult, 16).ok()?)
}

fn add_code(details: &mut ErrorDetails, code: StatusCode) {
    let metadata = HashMap::from([
        ("status_code".to_owned(), code.name().to_owned()),
        ("hresult".to_owned(), format!("0x{:08X}", code.value())),
    ]);
    details.set_error_info(code.name(), ERROR_DOMAIN, metadata);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_travels_in_the_error_info() {
        for code in StatusCode::ALL.iter().filter(|code| code.rpc() != RpcCode::Ok) {
            let status = refusal(*code, "no");
            assert_eq!(contract_code(&status), Some(*code));
            assert_eq!(status.code(), rpc_code(code.rpc()));
        }
    }

    #[test]
    fn a_bad_request_names_its_fields() {
        let violations = [Violation::new("spec.deadline", "it must be shorter")];
        let status = bad_request(StatusCode::InvalidArg, &violations);
        let details = status.get_error_details();
        let named = &details.bad_request().expect("a bad request").field_violations[0];
        assert_eq!(named.field, "spec.deadline");
        assert_eq!(status.message(), "spec.deadline: it must be shorter");
    }
}
