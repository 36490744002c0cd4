//! What a logoff would touch: how many guests are in, how many are left out, and why in a few lines.

use crate::client::{self, Client};
use crate::effective;
use crate::error::CallError;
use crate::pages::PAGE;
use crate::treatment;
use crate::words;
use curfew_proto::v1;
use std::collections::HashMap;
use std::time::Duration;

/// Different reasons shown; guests with rarer ones are summed up.
const REASONS_SHOWN: usize = 5;
/// Different reasons counted: notes are the controller's words, and nothing bounds them.
const REASONS_MAX: usize = 1000;

/// The size of a preview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Guests whose users would be logged off.
    pub included: u64,
    /// Who of them, as the object of a sentence.
    pub whom: &'static str,
    /// How people are treated, in one line, where there is something to say of it.
    pub treatment: Option<String>,
    /// Selected guests that would be skipped or refused at once.
    pub left_out: u64,
    /// Why guests are left out, the commonest reason first.
    pub reasons: Vec<(String, u64)>,
    /// The digest of the set.
    pub digest: String,
    /// How many guests each wave has.
    pub waves: Vec<u64>,
    /// Whether a second person has to approve it.
    pub needs_approval: bool,
    /// Why nothing would start now, in words; empty: it would.
    pub blocked_by: String,
}

/// Whether the guests are asked who is logged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// No.
    Not,
    /// Yes, with so much time for each; the controller's default without it.
    Within(Option<Duration>),
}

/// How long the controller waits for a guest's answer if nothing is said.
const LIVE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

impl Size {
    /// Asks for a preview and counts the reasons.
    ///
    /// # Errors
    /// When the controller could not be asked or refuses the request.
    pub async fn of(client: &Client, spec: &v1::OperationSpec) -> Result<Size, CallError> {
        // Without guests left out there is nothing to page through: the first answer has the counts.
        let first = page(client, spec, Live::Not, 1, String::new()).await?;
        let mut size = Size {
            included: first.included_count,
            whom: treatment::whom(spec),
            treatment: treatment::line(spec),
            left_out: first.left_out_count,
            reasons: Vec::new(),
            digest: first.selection_digest,
            waves: first.wave_sizes,
            needs_approval: first.needs_approval,
            blocked_by: first.blocked_by,
        };
        let mut reasons = Reasons::default();
        let mut token = String::new();
        while reasons.total < size.left_out {
            let answer = page(client, spec, Live::Not, PAGE, token).await?;
            reasons.count(&answer.guests);
            token = answer.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        size.reasons = reasons.sorted();
        Ok(size)
    }

    /// The lines that tell it.
    pub fn lines(&self) -> Vec<String> {
        let guests = words::count(self.included, "guest");
        let mut lines = vec![match self.left_out {
            0 => format!("This logs {} off {guests}.", self.whom),
            out => format!("This logs {} off {guests}; {out} selected {} left out:", self.whom, plural(out)),
        }];
        let (shown, rest) = self.reasons.split_at(self.reasons.len().min(REASONS_SHOWN));
        lines.extend(shown.iter().map(|(reason, guests)| format!("  {guests:>6}  {reason}")));
        let rest: u64 = rest.iter().map(|(_, guests)| guests).sum();
        if rest > 0 {
            lines.push(format!("  {rest:>6}  for other reasons: curfew preview lists them"));
        }
        lines.extend(self.treatment.clone());
        lines.extend(how_lines(&self.waves, self.needs_approval, &self.blocked_by));
        lines
    }
}

/// The lines that tell how it would go: in waves, after an approval, or not at all now.
pub(crate) fn how_lines(waves: &[u64], needs_approval: bool, blocked_by: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if waves.len() > 1 {
        let sizes: Vec<String> = waves.iter().map(u64::to_string).collect();
        lines.push(format!("They come in {} waves: {}.", sizes.len(), sizes.join(", ")));
    }
    if needs_approval {
        lines.push("A second person has to approve it before anything starts.".into());
    }
    if !blocked_by.is_empty() {
        lines.push(format!("Nothing would start now: {blocked_by}."));
    }
    lines
}

/// A page of a preview.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn page(
    client: &Client,
    spec: &v1::OperationSpec,
    live: Live,
    page_size: u32,
    page_token: String,
) -> Result<v1::PreviewOperationResponse, CallError> {
    let spec = Some(spec.clone());
    let message = v1::PreviewOperationRequest { spec, page_size, page_token, ..Default::default() };
    let request = match live {
        Live::Not => client::soon(message),
        Live::Within(timeout) => {
            let time = timeout.unwrap_or(LIVE_TIMEOUT_DEFAULT);
            let live_timeout = timeout.map(effective::duration);
            let message = v1::PreviewOperationRequest { live: true, live_timeout, ..message };
            client::within(message, client::CALL_TIMEOUT + time)
        }
    };
    let mut operations = client.operations();
    client.ask("preview the logoff", operations.preview_operation(request)).await
}

#[derive(Default)]
struct Reasons {
    total: u64,
    counts: HashMap<String, u64>,
}

impl Reasons {
    fn count(&mut self, guests: &[v1::PreviewGuest]) {
        for guest in guests.iter().filter(|guest| !guest.included) {
            self.total += 1;
            let is_known = self.counts.contains_key(&guest.note);
            let reason = if is_known || self.counts.len() < REASONS_MAX { &guest.note } else { "other" };
            *self.counts.entry(reason.to_owned()).or_default() += 1;
        }
    }

    fn sorted(self) -> Vec<(String, u64)> {
        let mut reasons: Vec<_> = self.counts.into_iter().collect();
        reasons.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        reasons
    }
}

fn plural(guests: u64) -> &'static str {
    if guests == 1 { "guest is" } else { "guests are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(included: bool, note: &str) -> v1::PreviewGuest {
        v1::PreviewGuest { included, note: note.into(), ..Default::default() }
    }

    #[test]
    fn reasons_are_counted_the_commonest_first() {
        let mut reasons = Reasons::default();
        reasons.count(&[
            guest(false, "excluded"),
            guest(true, ""),
            guest(false, "stopped"),
            guest(false, "stopped"),
        ]);
        assert_eq!(reasons.total, 3);
        assert_eq!(reasons.sorted(), [("stopped".to_owned(), 2), ("excluded".to_owned(), 1)]);
    }

    #[test]
    fn the_size_is_told_in_a_few_lines() {
        let all_in = Size { included: 1, whom: "all users", ..Size::default() };
        assert_eq!(all_in.lines(), ["This logs all users off 1 guest."]);
        let reasons = (1..=8).rev().map(|n| (format!("reason {n}"), n)).collect();
        let many = Size { included: 49_964, left_out: 36, reasons, ..all_in };
        let lines = many.lines();
        assert_eq!(lines[0], "This logs all users off 49964 guests; 36 selected guests are left out:");
        assert_eq!(lines[1], "       8  reason 8");
        assert_eq!(lines[6], "       6  for other reasons: curfew preview lists them");
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn waves_approval_and_what_is_in_the_way_are_told_where_there_are_any() {
        let size = Size {
            included: 100,
            whom: "some users",
            treatment: Some("How: told 10m before.".into()),
            waves: vec![1, 9, 90],
            needs_approval: true,
            blocked_by: "alice froze the fleet".into(),
            ..Size::default()
        };
        let lines = [
            "This logs some users off 100 guests.",
            "How: told 10m before.",
            "They come in 3 waves: 1, 9, 90.",
            "A second person has to approve it before anything starts.",
            "Nothing would start now: alice froze the fleet.",
        ];
        assert_eq!(size.lines(), lines);
        assert_eq!(Size { included: 1, waves: vec![1], ..Size::default() }.lines().len(), 1);
    }
}
