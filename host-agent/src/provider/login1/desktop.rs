//! Notices on desktops: the notification service on the bus of the user who sits there, asked as that user.

use super::bus::{Failure, Object};
use super::printable;
use super::root::Root;
use super::socket::{Caller, Listener, bus_at};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use zbus::{Connection, Variant};

const NOTIFICATIONS: Object<'static> = Object {
    service: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.freedesktop.Notifications",
};

/// How long a user's bus may take to answer: it is the user's, and he may have stopped it.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Longest text shown.
const TEXT_MAX: usize = 2048;
/// The urgency that desktops show also to somebody who asked not to be disturbed.
const CRITICAL: u8 = 2;

/// Shows `text` on the desktop of the user with this number.
///
/// # Errors
/// Why not, in words.
pub(super) async fn show(root: &Root, uid: u32, text: &str) -> Result<(), String> {
    let shown = timeout(ANSWER_WITHIN, async {
        let caller = Caller::of(root, uid).map_err(|error| error.to_string())?;
        let bus = bus_at(root, format!("run/user/{uid}/bus"), caller, Listener::MayBeGone).await;
        let bus = bus.map_err(|error| printable(&error.to_string(), 300))?;
        let asked = ask(&bus, text).await.map_err(|failure| match failure {
            Failure::Nobody(_) => "nothing shows notifications there".to_owned(),
            Failure::Denied(why) | Failure::Other(why) => why,
            Failure::Gone | Failure::NothingLeft | Failure::Exists => "it went away meanwhile".to_owned(),
        });
        // A bus that does not take leave of us is left all the same.
        let _ = bus.close().await;
        asked
    });
    let shown = shown.await.unwrap_or_else(|_| Err("the user's bus does not answer".into()));
    shown.map_err(|why| format!("the user's desktop: {why}"))
}

async fn ask(bus: &Connection, text: &str) -> Result<(), Failure> {
    // Text in a notification may be marked up.
    let body = printable(text, TEXT_MAX).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let actions: Vec<&str> = Vec::new();
    let hints = HashMap::from([("urgency", Variant::from(CRITICAL))]);
    // Name, no earlier one to replace, icon, title, text, no buttons, and until it is dismissed.
    let notification = ("Curfew", 0_u32, "system-log-out", "Curfew", body.as_str(), actions, hints, 0_i32);
    NOTIFICATIONS.tell(bus, "Notify", &notification).await
}
