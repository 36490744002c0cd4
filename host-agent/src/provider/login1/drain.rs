//! Drains: /run/nologin, and a timer of the machine's own systemd that takes it away at its end. Where no systemd holds
//! a timer, the agent takes it away at its end, or as soon as it runs again.

use super::bus::Failure;
use super::machine::{Machine, cannot};
use super::nologin::{self, Standing};
use super::{systemd, until_told};
use crate::provider::{DrainOrder, DrainReply, Error, UndrainReply};
use curfew_types::StatusCode;
use std::io;
use std::time::{Duration, SystemTime};

/// The timer and the service that ends a drain.
const TIMER: &str = "curfew-undrain";
/// What the service runs: it takes the file away if it is Curfew's. Nothing in it comes from an order.
const UNDRAIN: [&str; 3] = ["/bin/sh", "-c", include_str!("undrain.sh")];

impl Machine<'_> {
    /// Refuses new logons from now on.
    ///
    /// # Errors
    /// Feature missing where nothing heeds the file, access denied where the agent may not, unexpected where it does not
    /// work.
    pub(in crate::provider) async fn drain(
        &self,
        order: &DrainOrder,
        deadline: Duration,
    ) -> Result<DrainReply, Error> {
        let after = Duration::from_millis(order.for_ms);
        let content = nologin::saying(&until_told(SystemTime::now(), order.for_ms), &order.text);
        let is_heeded = self.root.work(|root| Ok(nologin::is_heeded(root))).await;
        if !is_heeded.map_err(|error| cannot_write("refusing new logons", &error))? {
            let message = "nothing in the machine heeds /run/nologin: its PAM has no pam_nologin";
            return Err(Error::new(StatusCode::AdditionsFeatureNotAvail, message));
        }
        // The timer first: no file may be without one.
        self.set_timer(after).await.map_err(|failure| cannot("setting the timer of a drain", &failure))?;
        let set = self.root.work(move |root| nologin::set(root, &content, deadline)).await;
        match set.map_err(|error| cannot_write("refusing new logons", &error))? {
            Standing::SomebodyElses => Ok(DrainReply::SomebodyElses),
            Standing::Ours | Standing::Absent => Ok(DrainReply::InForce),
        }
    }

    /// Lets new logons in again.
    ///
    /// # Errors
    /// As for [`Machine::drain`].
    pub(in crate::provider) async fn undrain(&self) -> Result<UndrainReply, Error> {
        let lifted = self.root.work(nologin::lift).await;
        let standing = lifted.map_err(|error| cannot_write("letting new logons in again", &error))?;
        // One that stays finds nothing of ours, and the next drain sets its own.
        if let Ok(bus) = self.bus.connection().await {
            let _ = systemd::forget(&bus, TIMER).await;
        }
        Ok(match standing {
            Standing::SomebodyElses => UndrainReply::SomebodyElses,
            Standing::Ours | Standing::Absent => UndrainReply::Lifted,
        })
    }

    async fn set_timer(&self, after: Duration) -> Result<(), Failure> {
        let set = async {
            let bus = self.bus.connection().await?;
            systemd::run_once_after(&bus, TIMER, &UNDRAIN, after).await
        };
        match set.await {
            // There is no systemd that could hold one.
            Err(Failure::Nobody(_) | Failure::Gone) => Ok(()),
            set => set,
        }
    }
}

fn cannot_write(what: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StatusCode::AccessDenied,
        io::ErrorKind::TimedOut => StatusCode::TimedOut,
        _ => StatusCode::Unexpected,
    };
    Error::new(code, format!("{what}: /run/nologin: {error}"))
}
