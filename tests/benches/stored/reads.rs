//! How long a person waits for a page of the past: lists of operations, one operation, lists of its tasks.

use super::past::{self, Past};
use super::served::Served;
use super::{ROW, Shape};
use crate::report::{Bound, Figure, Unit, median, percentile};
use anyhow::{Context as _, ensure};
use curfew_controller::data_dir::DataDir;
use curfew_proto::v1;
use std::time::Instant;

/// Items asked for at a time.
const PAGE: u32 = 100;
/// Milliseconds that a page may take.
const AT_MOST: f64 = 50.0;

/// Starts a controller on the store in `data_dir` and asks it for pages.
///
/// # Errors
/// When a call fails, or answers something else than what was written.
pub(super) async fn measure(data_dir: &DataDir, shape: &Shape) -> anyhow::Result<Vec<Figure>> {
    let served = Served::start(data_dir).await?;
    let reader = Reader { served: &served, past: Past::new(shape.hosts, shape.tasks), shape };
    let mut figures = reader.operations().await?;
    figures.extend(reader.shows().await?);
    figures.extend(reader.tasks().await?);
    figures.extend(reader.not_well().await?);
    served.stop().await?;
    Ok(figures)
}

struct Reader<'a> {
    served: &'a Served,
    past: Past,
    shape: &'a Shape,
}

impl Reader<'_> {
    /// Any operation, another one for each call.
    fn id(&self, call: u32) -> anyhow::Result<String> {
        let number = past::dice(&[6, u64::from(call)]) % u64::from(self.shape.operations);
        Ok(self.past.operation(number as u32)?.id.to_string())
    }

    /// Walks through all operations, page by page, as often as there are calls.
    async fn operations(&self) -> anyhow::Result<Vec<Figure>> {
        let mut client = self.served.operations();
        let mut times = Vec::new();
        let mut token = String::new();
        while times.len() < self.shape.calls as usize {
            let request =
                v1::ListOperationsRequest { page_size: PAGE, page_token: token, ..Default::default() };
            let began = Instant::now();
            let page = client.list_operations(request).await?.into_inner();
            times.push(ms(began));
            token = page.next_page_token;
            ensure!(page.operations.len() == PAGE as usize || token.is_empty(), "a page is not full");
        }
        Ok(figures("`operation list`, pages of 100", times))
    }

    async fn shows(&self) -> anyhow::Result<Vec<Figure>> {
        let mut client = self.served.operations();
        let mut times = Vec::new();
        for call in 0..self.shape.calls {
            let request = v1::GetOperationRequest { operation_id: self.id(call)? };
            let began = Instant::now();
            let shown =
                client.get_operation(request).await?.into_inner().operation.context("an operation")?;
            times.push(ms(began));
            ensure!(shown.task_count == u64::from(self.shape.tasks), "it has {} tasks", shown.task_count);
        }
        Ok(figures("`operation show`", times))
    }

    /// The first page of an operation's tasks, and one deep inside.
    async fn tasks(&self) -> anyhow::Result<Vec<Figure>> {
        let mut client = self.served.operations();
        let (mut first, mut deep) = (Vec::new(), Vec::new());
        for call in 0..self.shape.calls {
            let operation_id = self.id(call)?;
            let mut token = String::new();
            let mut seen = 0;
            loop {
                let request = v1::ListTasksRequest {
                    operation_id: operation_id.clone(),
                    page_size: PAGE,
                    page_token: token,
                    ..Default::default()
                };
                let began = Instant::now();
                let page = client.list_tasks(request).await?.into_inner();
                if seen == 0 { &mut first } else { &mut deep }.push(ms(began));
                seen += page.tasks.len();
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            ensure!(seen == self.shape.tasks as usize, "{seen} tasks were listed");
        }
        let mut figures_of_both = figures("`task list`, first page of 100", first);
        figures_of_both.extend(figures("`task list`, the pages after it", deep));
        Ok(figures_of_both)
    }

    async fn not_well(&self) -> anyhow::Result<Vec<Figure>> {
        let mut client = self.served.operations();
        let mut times = Vec::new();
        for call in 0..self.shape.calls {
            let request = v1::ListTasksRequest {
                operation_id: self.id(call)?,
                page_size: PAGE,
                only_not_well: true,
                ..Default::default()
            };
            let began = Instant::now();
            let page = client.list_tasks(request).await?.into_inner();
            times.push(ms(began));
            ensure!(!page.tasks.iter().any(|task| task.ended_well), "a task that ended well was listed");
        }
        Ok(figures("`task list`, only what did not end well", times))
    }
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// The time that 99 of 100 calls keep, and for comparison the one that half of them do.
fn figures(what: &str, times: Vec<f64>) -> Vec<Figure> {
    let figure = |share: &str, curfew, bound| Figure {
        row: ROW,
        what: format!("{what}: {share}"),
        unit: Unit::Milliseconds,
        floor: None,
        curfew,
        bound,
        rounds: times.len(),
    };
    vec![
        figure("p99", percentile(times.iter().copied(), 0.99), Bound::AtMost(AT_MOST)),
        figure("median", median(times.iter().copied()), Bound::None),
    ]
}
