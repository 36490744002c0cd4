//! Decides how wide the columns of a table become on a terminal. Never makes a line wider than the terminal, as long
//! as one column has room.

use super::{Column, Fit, GAP};

/// What a column that may be cut keeps at least: a status code's value with its ellipsis, and enough of a name.
const CUT_MIN: u16 = 11;

/// How wide each column becomes so that a line fits into `limit`; 0 leaves a column out.
pub(super) fn widths(columns: &[Column], content: &[u16], limit: u16) -> Vec<u16> {
    let least = |at: usize| match columns[at].fit {
        Fit::Whole => content[at],
        Fit::Cut | Fit::Extra => content[at].min(CUT_MIN.max(columns[at].title.len() as u16)),
    };
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let total = |shown: &[usize]| {
        let gaps = u32::from(GAP) * (shown.len() as u32).saturating_sub(1);
        shown.iter().map(|at| u32::from(least(*at))).sum::<u32>() + gaps
    };
    while total(&shown) > u32::from(limit) {
        match shown.iter().rposition(|at| columns[*at].fit == Fit::Extra) {
            Some(extra) => shown.remove(extra),
            None => break,
        };
    }
    let mut widths = vec![0; columns.len()];
    shown.iter().for_each(|at| widths[*at] = least(*at));
    // What is left goes to the columns that were cut, a column at a time, so that short ones become whole first.
    let mut spare = u32::from(limit).saturating_sub(total(&shown));
    while spare > 0 {
        let mut hungry: Vec<usize> = shown.iter().copied().filter(|at| widths[*at] < content[*at]).collect();
        if hungry.is_empty() {
            break;
        }
        hungry.truncate(spare as usize);
        spare -= hungry.len() as u32;
        hungry.iter().for_each(|at| widths[*at] += 1);
    }
    let over = shrink_by(&widths, &shown, limit);
    if over > 0 {
        // Not even the ids fit: the widest column is cut, since a line that wraps is worse.
        if let Some(widest) = shown.iter().copied().max_by_key(|at| widths[*at]) {
            widths[widest] = widths[widest].saturating_sub(over).max(CUT_MIN);
        }
    }
    widths
}

/// The widths of an earlier page, wider where this page needs it and the line has room. A column that was left out stays
/// so.
pub(super) fn grown(widths: &[u16], content: &[u16], limit: u16) -> Vec<u16> {
    let mut grown = widths.to_vec();
    let shown = grown.iter().filter(|width| **width > 0).count() as u32;
    let total = grown.iter().map(|width| u32::from(*width)).sum::<u32>();
    let mut spare = u32::from(limit).saturating_sub(total + u32::from(GAP) * shown.saturating_sub(1));
    for (width, wanted) in grown.iter_mut().zip(content).filter(|(width, _)| **width > 0) {
        let more = u32::from(wanted.saturating_sub(*width)).min(spare);
        spare -= more;
        *width = width.saturating_add(u16::try_from(more).unwrap_or(u16::MAX));
    }
    grown
}

/// By how much the columns are wider than the terminal.
fn shrink_by(widths: &[u16], shown: &[usize], limit: u16) -> u16 {
    let gaps = u32::from(GAP) * (shown.len() as u32).saturating_sub(1);
    let total = shown.iter().map(|at| u32::from(widths[*at])).sum::<u32>() + gaps;
    u16::try_from(total.saturating_sub(u32::from(limit))).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_page_may_be_wider_as_far_as_the_line_has_room() {
        // 10 and 5 columns with a gap of 3: 12 of 30 are left.
        assert_eq!(grown(&[10, 5], &[12, 6], 30), [12, 6]);
        assert_eq!(grown(&[10, 5], &[40, 9], 30), [22, 5]);
        assert_eq!(grown(&[10, 5], &[2, 2], 30), [10, 5], "what stands above stays in line");
    }

    #[test]
    fn a_column_that_was_left_out_stays_left_out() {
        assert_eq!(grown(&[10, 0], &[12, 6], 80), [12, 0]);
    }
}
