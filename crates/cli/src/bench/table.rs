//! Outcomes as tables: one for each case, metrics down, contenders across.
//!
//! The same text serves the terminal and RESULTS.md, whose tables are Markdown.

use std::fmt::Write as _;

use super::result::{Case, Column, Figure, Metric, Outcome, Target, Verdict};

/// All tables of an outcome with their headings.
pub(crate) fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    for case in &outcome.cases {
        let _ = writeln!(text, "{}: {}\n", case.name, case.title);
        text.push_str(&render_case(case));
        for column in &case.columns {
            if let Some(error) = &column.error {
                let _ = writeln!(text, "\n{}: {error}", column.name);
            }
        }
        text.push('\n');
    }
    for note in &outcome.notes {
        let _ = writeln!(text, "{note}");
    }
    let _ = writeln!(text, "{}", outcome.machine.describe());
    text
}

/// One table in Markdown, its columns aligned.
pub(crate) fn render_case(case: &Case) -> String {
    let mut rows = vec![heading(case)];
    rows.extend(case.metrics.iter().map(|metric| row(case, metric)));
    let columns = rows[0].len();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let pad = " ".repeat(width - cell.chars().count());
            let _ = write!(text, "| {cell}{pad} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Whether there is a target at all.
fn judged(case: &Case) -> bool {
    case.metrics.iter().any(|metric| metric.target.is_some())
}

fn heading(case: &Case) -> Vec<String> {
    let mut cells = vec![String::new()];
    cells.extend(case.columns.iter().map(|column| column.name.clone()));
    if judged(case) {
        cells.extend(["target".to_owned(), "verdict".to_owned()]);
    }
    cells
}

fn row(case: &Case, metric: &Metric) -> Vec<String> {
    let mut cells = vec![metric.label.clone()];
    cells.extend(case.columns.iter().map(|column| cell(case, column, metric)));
    if !judged(case) {
        return cells;
    }
    cells.push(target(case, metric));
    cells.push(match case.verdict(metric) {
        Some(Verdict::Reached) => "reached".to_owned(),
        Some(Verdict::Missed) => "MISSED".to_owned(),
        Some(Verdict::Unknown) => "not judged".to_owned(),
        None => String::new(),
    });
    cells
}

fn cell(case: &Case, column: &Column, metric: &Metric) -> String {
    let Some(figure) = column.figure(&metric.key) else {
        return "–".to_owned();
    };
    let mut text = number(figure.median, metric.decimals);
    if column.samples.len() > 1 && figure.max > figure.min {
        let spread = spread(&figure, metric.decimals);
        let _ = write!(text, " ({spread})");
    }
    let _ = write!(text, "{}", times(case, column, metric, &figure));
    text
}

fn spread(figure: &Figure, decimals: usize) -> String {
    format!("{}–{}", number(figure.min, decimals), number(figure.max, decimals))
}

/// How many times the limit it is, for the column that is judged by a limit.
fn times(case: &Case, column: &Column, metric: &Metric, figure: &Figure) -> String {
    let Some(Target::TimesAtMost(_, limit) | Target::TimesAtLeast(_, limit)) = &metric.target
    else {
        return String::new();
    };
    let limit_column = case.columns.iter().find(|other| other.name == *limit);
    let limit_figure = limit_column.and_then(|other| other.figure(&metric.key));
    match limit_figure {
        Some(limit_figure) if column.name != *limit && limit_figure.median > 0.0 => {
            format!(" = {:.2}×", figure.median / limit_figure.median)
        }
        _ => String::new(),
    }
}

fn target(case: &Case, metric: &Metric) -> String {
    let Some(target) = &metric.target else {
        return String::new();
    };
    let bound = case.bound(metric).map(|bound| number(bound, metric.decimals));
    let bound = bound.unwrap_or_else(|| "?".to_owned());
    match target {
        Target::AtMost(_) => format!("≤ {bound}"),
        Target::AtLeast(_) => format!("≥ {bound}"),
        Target::TimesAtMost(times, limit) => format!("≤ {times} × {limit} = {bound}"),
        Target::TimesAtLeast(times, limit) => format!("≥ {times} × {limit} = {bound}"),
    }
}

/// With a comma every three digits before the point.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let between = index > 0 && (whole.len() - index) % 3 == 0;
        if between && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &fraction
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::case;
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(1_234_567.0, 0), "1,234,567");
        assert_eq!(number(0.349, 2), "0.35");
        assert_eq!(number(-123.4, 1), "-123.4");
        assert_eq!(number(999.96, 1), "1,000.0");
    }

    #[test]
    fn a_table_shows_medians_spread_distance_and_verdict() {
        let target = Target::TimesAtMost(1.15, "limit, each".to_owned());
        let text = render_case(&case(target, &[4.4]));
        let expected = "\
|                 | limit, each      | tidings      | target                    | verdict |
|-----------------|------------------|--------------|---------------------------|---------|
| CPU µs/delivery | 4.00 (3.00–8.00) | 4.40 = 1.10× | ≤ 1.15 × limit, each = 4.60 | reached |
";
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines = |text: &str| {
            let all: Vec<String> = text.lines().map(squeeze).collect();
            (all[0].clone(), all[2].clone())
        };
        assert_eq!(lines(&text), lines(expected));
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let text = render_case(&case(Target::AtMost(1.0), &[]));
        assert!(text.contains("| –"), "{text}");
        assert!(text.contains("not judged"), "{text}");
    }
}
