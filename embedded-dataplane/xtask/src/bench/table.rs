//! Plain tables and units.

use std::fmt;
use std::time::Duration;

/// A table with aligned columns: the first to the left, the last as it is, the others to the right.
#[derive(Debug)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        let mut table = Self(Vec::new());
        table.push(headings);
        table
    }

    /// Adds a row.
    pub(super) fn push(&mut self, cells: &[&str]) {
        self.0.push(cells.iter().map(|&c| c.to_owned()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        for row in &self.0 {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                match column {
                    0 => write!(f, "{cell:<width$}")?,
                    _ if column + 1 == row.len() => write!(f, "  {cell}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// `12.34 ms`, or `-` when it is not known.
pub(super) fn milliseconds(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "-".to_owned(),
        |d| format!("{:.2} ms", d.as_secs_f64() * 1000.0),
    )
}

/// `12.3 MB`, of a million bytes each.
pub(super) fn bytes(bytes: usize) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["stage", "wall", "result"]);
        table.push(&[
            "parse",
            &milliseconds(Some(Duration::from_micros(1234))),
            &bytes(150_000),
        ]);
        table.push(&["compare pairs", &milliseconds(None), &bytes(0)]);
        insta::assert_snapshot!(table, @r"
        stage             wall  result
        parse          1.23 ms  0.2 MB
        compare pairs        -  0.0 MB
        ");
    }
}
