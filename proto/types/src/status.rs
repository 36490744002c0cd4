//! The contract's status codes: the published, stable table of names and HRESULT values.
//!
//! Source: `IVMGuestOS::Logoff` and `IVMTask` of Windows Virtual PC (VPCCOMInterfaces.h) and, for the two Win32
//! codes, winerror.h. Values are never renumbered; a new meaning gets a new row.

use serde::{Deserialize, Serialize};

/// Where a code may stand: as the answer to the call, or as the error of a task that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The logoff was not started in this guest, so nobody was logged off.
    Refusal,
    /// The logoff was started, and this is how it ended.
    Task,
    /// Either of the two.
    Both,
    /// Answers a `Cancel` only.
    CancelOnly,
}

impl Layer {
    /// The word used in the published table.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Refusal => "refusal",
            Layer::Task => "task",
            Layer::Both => "both",
            Layer::CancelOnly => "cancel only",
        }
    }
}

/// The canonical gRPC code that goes with a status code when it answers a call about one guest.
///
/// Named here, not taken from a gRPC library, so that the vocabulary stays free of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcCode {
    /// `OK`
    Ok,
    /// `INTERNAL`
    Internal,
    /// `INVALID_ARGUMENT`
    InvalidArgument,
    /// `PERMISSION_DENIED`
    PermissionDenied,
    /// `DEADLINE_EXCEEDED`
    DeadlineExceeded,
    /// `FAILED_PRECONDITION`
    FailedPrecondition,
    /// `NOT_FOUND`
    NotFound,
    /// `UNAVAILABLE`
    Unavailable,
}

impl RpcCode {
    /// The canonical spelling of the gRPC specification.
    pub fn as_str(self) -> &'static str {
        match self {
            RpcCode::Ok => "OK",
            RpcCode::Internal => "INTERNAL",
            RpcCode::InvalidArgument => "INVALID_ARGUMENT",
            RpcCode::PermissionDenied => "PERMISSION_DENIED",
            RpcCode::DeadlineExceeded => "DEADLINE_EXCEEDED",
            RpcCode::FailedPrecondition => "FAILED_PRECONDITION",
            RpcCode::NotFound => "NOT_FOUND",
            RpcCode::Unavailable => "UNAVAILABLE",
        }
    }
}

macro_rules! status_codes {
    ($($variant:ident = $value:literal, $name:literal, $layer:ident, $rpc:ident, $meaning:literal;)+) => {
        /// A status code of the contract.
        ///
        /// Serialized by name, so that stored rows and ledgers stay readable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum StatusCode {
            $(
                #[doc = concat!("`", $name, "`: ", $meaning, ".")]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl StatusCode {
            /// Every code, in the order of the published table.
            pub const ALL: &[StatusCode] = &[$(StatusCode::$variant),+];

            /// The exact HRESULT.
            pub fn value(self) -> u32 {
                match self { $(StatusCode::$variant => $value),+ }
            }

            /// The name in the original header.
            pub fn name(self) -> &'static str {
                match self { $(StatusCode::$variant => $name),+ }
            }

            /// What it means, for people.
            pub fn meaning(self) -> &'static str {
                match self { $(StatusCode::$variant => $meaning),+ }
            }

            /// Where it may stand.
            pub fn layer(self) -> Layer {
                match self { $(StatusCode::$variant => Layer::$layer),+ }
            }

            /// The gRPC code that goes with it.
            pub fn rpc(self) -> RpcCode {
                match self { $(StatusCode::$variant => RpcCode::$rpc),+ }
            }
        }
    };
}

status_codes! {
    Ok = 0x0000_0000, "S_OK", Both, Ok,
        "the operation was successful";
    Unexpected = 0x8002_0009, "DISP_E_EXCEPTION", Both, Internal,
        "an unexpected error occurred";
    Pointer = 0x8000_4003, "E_POINTER", Refusal, InvalidArgument,
        "a required field is missing";
    InvalidArg = 0x8007_0057, "E_INVALIDARG", Refusal, InvalidArgument,
        "a parameter is out of its range";
    AccessDenied = 0x8007_0005, "HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED)", Both, PermissionDenied,
        "the caller lacks execute permission on this guest";
    TimedOut = 0xA004_0202, "VM_E_TIMED_OUT", Both, DeadlineExceeded,
        "the operation did not complete in a timely manner";
    VmNotRunning = 0xA004_0206, "VM_E_VM_NOT_RUNNING", Refusal, FailedPrecondition,
        "the guest must be running for this operation";
    VmUnknown = 0xA004_0207, "VM_E_VM_UNKNOWN", Refusal, NotFound,
        "the guest is unknown";
    AppShuttingDown = 0xA004_0209, "VM_E_APP_SHUTTING_DOWN", Refusal, Unavailable,
        "asked for after shutdown began";
    AdditionsNotAvail = 0xA004_0504, "VM_E_ADDITIONS_NOT_AVAIL", Refusal, Unavailable,
        "the guest is not fully booted, or no guest agent answers yet (may be retried)";
    AdditionsFeatureNotAvail = 0xA004_0505, "VM_E_ADDITIONS_FEATURE_NOT_AVAIL", Refusal, FailedPrecondition,
        "the guest agent is missing or its policy forbids what is needed (final)";
    VmPaused = 0xA004_0507, "VM_E_VM_PAUSED", Refusal, FailedPrecondition,
        "the guest is paused";
    Fail = 0x8000_4005, "E_FAIL", CancelOnly, FailedPrecondition,
        "the task cannot be cancelled";
    NoSuchLogonSession = 0x8007_0520, "HRESULT_FROM_WIN32(ERROR_NO_SUCH_LOGON_SESSION)", Task, Ok,
        "there was no logon session in the guest: nothing to do, not a failure";
}

impl StatusCode {
    /// The code with this HRESULT, if the table has it.
    pub fn from_value(value: u32) -> Option<StatusCode> {
        StatusCode::ALL.iter().copied().find(|code| code.value() == value)
    }

    /// The published table as Markdown: the README and the proto reference carry this text, and a test compares.
    pub fn markdown_table() -> String {
        let mut table =
            String::from("| name | value | layer | gRPC code | meaning |\n|---|---|---|---|---|\n");
        for code in StatusCode::ALL {
            table.push_str(&format!(
                "| `{}` | `0x{:08X}` | {} | {} | {} |\n",
                code.name(),
                code.value(),
                code.layer().as_str(),
                code.rpc().as_str(),
                code.meaning()
            ));
        }
        table
    }
}

impl std::fmt::Display for StatusCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:08X})", self.name(), self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_contract_is_exact() {
        let published = [
            ("S_OK", 0x0000_0000_u32),
            ("DISP_E_EXCEPTION", 0x8002_0009),
            ("E_POINTER", 0x8000_4003),
            ("E_INVALIDARG", 0x8007_0057),
            ("HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED)", 0x8007_0005),
            ("VM_E_TIMED_OUT", 0xA004_0202),
            ("VM_E_VM_NOT_RUNNING", 0xA004_0206),
            ("VM_E_VM_UNKNOWN", 0xA004_0207),
            ("VM_E_APP_SHUTTING_DOWN", 0xA004_0209),
            ("VM_E_ADDITIONS_NOT_AVAIL", 0xA004_0504),
            ("VM_E_ADDITIONS_FEATURE_NOT_AVAIL", 0xA004_0505),
            ("VM_E_VM_PAUSED", 0xA004_0507),
            ("E_FAIL", 0x8000_4005),
            ("HRESULT_FROM_WIN32(ERROR_NO_SUCH_LOGON_SESSION)", 0x8007_0520),
        ];
        let ours: Vec<_> = StatusCode::ALL.iter().map(|code| (code.name(), code.value())).collect();
        assert_eq!(ours, published);
    }

    #[test]
    fn a_value_leads_back_to_its_code() {
        for code in StatusCode::ALL {
            assert_eq!(StatusCode::from_value(code.value()), Some(*code));
        }
        assert_eq!(StatusCode::from_value(0xDEAD_BEEF), None);
    }
}
