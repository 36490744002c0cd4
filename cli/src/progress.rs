//! Shows how far an operation has come: one bar for a person, a line now and then for a log. Beside the data,
//! never in it, and of the same size for 5 guests as for 50,000.

use crate::follow::News;
use crate::standing::{self, Stop};
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Between two lines of a log at least.
const LINE_PAUSE: Duration = Duration::from_secs(3);
/// Before a rate is worth telling.
const RATE_AFTER: Duration = Duration::from_secs(2);

/// A display of one operation.
#[derive(Debug)]
pub struct Progress<'a> {
    terminal: &'a mut Terminal,
    bar: Option<ProgressBar>,
    began: Instant,
    /// Ended tasks when the display began: those give no rate.
    ended_before: Option<u64>,
    last_line: Option<(Instant, String)>,
    /// What held it up when that was told last.
    stopped_by: Option<Stop>,
}

impl<'a> Progress<'a> {
    /// A display that begins now.
    pub fn new(terminal: &'a mut Terminal) -> Progress<'a> {
        Progress {
            terminal,
            bar: None,
            began: Instant::now(),
            ended_before: None,
            last_line: None,
            stopped_by: None,
        }
    }

    /// Shows news.
    pub fn tell(&mut self, news: &News<'_>) {
        match news {
            News::Changed(operation) => self.changed(operation),
            News::Lost(error, pause) => self.terminal.note(&format!(
                "lost sight of the operation, which goes on: {}; trying again in {}",
                error.why,
                humantime::format_duration(*pause)
            )),
            News::Back => self.terminal.note("connected again"),
        }
    }

    /// Takes the display away; a log gets the last picture.
    pub fn end(self, last: Option<&v1::Operation>) {
        self.terminal.end_bar();
        let shown = self.last_line.map(|(_, line)| line);
        if let (Some(operation), None) = (last, &self.bar) {
            let line = line(operation, None);
            if shown.as_ref() != Some(&line) {
                self.terminal.note(&line);
            }
        }
    }

    fn changed(&mut self, operation: &v1::Operation) {
        let before = *self.ended_before.get_or_insert_with(|| ended(operation));
        if self.last_line.is_none() && self.bar.is_none() {
            self.bar = self.terminal.begin_bar(operation.task_count);
            if let Some(bar) = &self.bar {
                bar.set_style(style());
                bar.set_prefix(operation.id.clone());
            }
        }
        self.tell_stop(operation);
        let rate = rate(ended(operation).saturating_sub(before), self.began.elapsed());
        match &self.bar {
            Some(bar) => {
                bar.set_length(operation.task_count);
                bar.set_position(ended(operation));
                bar.set_message(crate::escape::visible(&message(operation, rate)).into_owned());
            }
            None => self.line(operation, rate),
        }
    }

    /// Says once that it does not go on by itself, and once that it does again.
    fn tell_stop(&mut self, operation: &v1::Operation) {
        let id = &operation.id;
        let Some(stop) = standing::stop(operation) else {
            let needed_somebody = self.stopped_by.take().is_some_and(|stop| stop.needs_somebody());
            if needed_somebody && operation.state() == v1::OperationState::Running {
                self.terminal.note(&format!("{id} goes on"));
            }
            return;
        };
        if self.stopped_by.as_ref().is_some_and(|told| told.what == stop.what) {
            return;
        }
        self.terminal.note(&format!("{id} is {}", stop.line()));
        standing::note_ways(self.terminal, &stop.ways);
        self.stopped_by = Some(stop);
    }

    fn line(&mut self, operation: &v1::Operation, rate: Option<f64>) {
        let now = Instant::now();
        let line_now = line(operation, rate);
        let is_due = match &self.last_line {
            None => true,
            Some((at, shown)) => now.duration_since(*at) >= LINE_PAUSE && *shown != line_now,
        };
        if is_due {
            self.terminal.note(&line_now);
            // Compared without the rate, so that the last picture is not told twice.
            self.last_line = Some((now, line(operation, None)));
        }
    }
}

/// Two lines: the bar, and under it what the numbers are made of, cut to the width.
fn style() -> ProgressStyle {
    let template = "{prefix} {wide_bar} {percent:>3}% {human_pos}/{human_len}\n{wide_msg}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The line of a log.
fn line(operation: &v1::Operation, rate: Option<f64>) -> String {
    format!(
        "{}: {} of {} ({} %){}",
        operation.id,
        ended(operation),
        words::count(operation.task_count, "guest"),
        operation.percent_completed,
        match message(operation, rate) {
            text if text.is_empty() => text,
            text => format!(": {text}"),
        }
    )
}

/// What the numbers are made of.
fn message(operation: &v1::Operation, rate: Option<f64>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let stop = standing::stop(operation);
    if operation.state() == v1::OperationState::Cancelling {
        parts.push("cancelling".into());
    }
    if let Some(stop) = &stop {
        parts.push(stop.what.clone());
    }
    if let Some((wave, of)) = standing::wave(operation) {
        parts.push(format!("wave {wave} of {of}"));
    }
    parts.extend(
        operation.outcomes.iter().map(|count| format!("{} {}", count.tasks, words::outcome(count.outcome()))),
    );
    let is_queued = |count: &&v1::StageCount| count.stage() == v1::Stage::Queued;
    let queued: u64 = operation.stages.iter().filter(is_queued).map(|count| count.tasks).sum();
    let left = operation.task_count.saturating_sub(ended(operation));
    let under_way = left.saturating_sub(queued);
    if under_way > 0 {
        parts.push(format!("{under_way} under way"));
    }
    if queued > 0 {
        parts.push(format!("{queued} waiting"));
    }
    if let Some(rate) = rate
        && left > 0
        && stop.is_none()
    {
        parts.push(if rate >= 10.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") });
        parts.push(format!(
            "about {} left",
            words::span(Duration::from_secs((left as f64 / rate).ceil() as u64))
        ));
    }
    parts.join(", ")
}

fn ended(operation: &v1::Operation) -> u64 {
    operation.outcomes.iter().map(|count| count.tasks).sum()
}

/// Tasks a second, once there is something to count.
fn rate(ended: u64, time: Duration) -> Option<f64> {
    (ended > 0 && time >= RATE_AFTER).then(|| ended as f64 / time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Facts, testing};
    use crate::testing::operation;

    #[test]
    fn the_line_for_5_guests_and_for_50_000_has_the_same_shape() {
        let few = operation(5, &[(v1::Outcome::Succeeded, 2)], &[(v1::Stage::Ending, 3)]);
        assert_eq!(line(&few, None), "op-0123456789abc: 2 of 5 guests (40 %): 2 succeeded, 3 under way");
        let many = operation(
            50_000,
            &[(v1::Outcome::Succeeded, 12_000), (v1::Outcome::NothingToDo, 300), (v1::Outcome::Failed, 45)],
            &[(v1::Stage::Queued, 35_655), (v1::Stage::Ending, 2000)],
        );
        assert_eq!(
            line(&many, Some(310.4)),
            "op-0123456789abc: 12345 of 50000 guests (24 %): 12000 succeeded, 300 nothing to do, 45 failed, \
             2000 under way, 35655 waiting, 310/s, about 2m2s left"
        );
    }

    #[test]
    fn a_log_gets_a_line_at_once_and_then_only_now_and_then() {
        let (mut terminal, out, err) = testing::terminal(Facts::default(), "");
        let mut progress = Progress::new(&mut terminal);
        for done in 0..=1000 {
            let picture = operation(1000, &[(v1::Outcome::Succeeded, done)], &[]);
            progress.tell(&News::Changed(&picture));
        }
        progress.end(Some(&operation(1000, &[(v1::Outcome::Succeeded, 1000)], &[])));
        assert_eq!(out.text(), "");
        let notes = err.text();
        assert_eq!(notes.lines().count(), 2, "{notes}");
        assert!(notes.ends_with("1000 of 1000 guests (100 %): 1000 succeeded\n"), "{notes}");
    }

    #[test]
    fn what_holds_an_operation_up_is_told_once_with_the_way_on() {
        let (mut terminal, _, err) = testing::terminal(Facts::default(), "");
        let mut progress = Progress::new(&mut terminal);
        let runs = operation(100, &[(v1::Outcome::Succeeded, 10)], &[(v1::Stage::Queued, 90)]);
        let state = v1::OperationState::Paused.into();
        let paused =
            v1::Operation { state, waiting_for: "an operator (paused by alice)".into(), ..runs.clone() };
        for picture in [&runs, &paused, &paused, &runs, &runs, &paused] {
            progress.tell(&News::Changed(picture));
        }
        progress.end(None);
        let stop = "op-0123456789abc is paused; it waits for an operator (paused by alice)\n  \
                    resume it:  curfew operation resume op-0123456789abc\n  \
                    cancel it:  curfew operation cancel op-0123456789abc\n";
        let runs = "op-0123456789abc: 10 of 100 guests (10 %): 10 succeeded, 90 waiting\n";
        assert_eq!(err.text(), format!("{runs}{stop}op-0123456789abc goes on\n{stop}"));
    }

    #[test]
    fn the_wave_and_what_is_waited_for_come_before_the_numbers() {
        let mut waits = operation(10, &[(v1::Outcome::Succeeded, 2)], &[(v1::Stage::Queued, 8)]);
        let wave = |tasks, ended, begun| v1::Wave { tasks, ended, begun };
        waits.waves = vec![wave(2, 2, true), wave(8, 0, false)];
        let rollout = v1::Rollout { promotion: true, ..v1::Rollout::default() };
        waits.spec = Some(v1::OperationSpec { rollout: Some(rollout), ..v1::OperationSpec::default() });
        let said = "waiting for promotion to wave 2, wave 1 of 2, 2 succeeded, 8 waiting";
        assert_eq!(message(&waits, Some(3.0)), said, "a rate would promise an end");
    }

    #[test]
    fn a_rate_is_told_only_when_there_is_one() {
        assert_eq!(rate(0, Duration::from_secs(60)), None);
        assert_eq!(rate(500, Duration::from_millis(100)), None);
        assert_eq!(rate(500, Duration::from_secs(10)), Some(50.0));
    }
}
