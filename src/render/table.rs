//! Tables as kubectl prints them, as wide as the text may be.

use std::fmt;

use super::text::{Role, Style, escape, wrap};

/// Blanks between two columns.
const GAP: usize = 3;
/// What folded cells are indented by when one column is left.
const INDENT: usize = 2;

/// A table with upper-case headers and no borders. Where it is too wide for the [`Style`], its last
/// columns go to lines of their own below each row, without a header: a name that is cut is of no
/// use to anybody.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    style: Style,
    headers: [&'static str; COLUMNS],
    rows: Vec<Row<COLUMNS>>,
}

#[derive(Debug)]
struct Row<const COLUMNS: usize> {
    cells: [String; COLUMNS],
    /// Colour of the last cell.
    role: Option<Role>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(style: Style, headers: [&'static str; COLUMNS]) -> Self {
        Self {
            style,
            headers,
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell reads `<none>`. The last cell takes the colour of its role.
    pub(super) fn row(&mut self, cells: [&str; COLUMNS], role: Option<Role>) -> &mut Self {
        let cells = cells.map(|cell| match escape(cell) {
            cell if cell.is_empty() => "<none>".to_owned(),
            cell => cell.into_owned(),
        });
        self.rows.push(Row { cells, role });
        self
    }

    /// The table with its first columns alone.
    fn layout(&self, columns: usize) -> comfy_table::Table {
        let mut layout = comfy_table::Table::new();
        layout
            .load_style(comfy_table::presets::NOTHING)
            .set_header(self.headers.iter().take(columns));
        for column in layout.column_iter_mut() {
            column.set_padding((0, 3));
        }
        for row in &self.rows {
            layout.add_row(row.cells.iter().take(columns));
        }
        layout
    }

    /// The widest layout that fits, with how many columns it has, and where its second one starts.
    fn fitting(&self) -> (comfy_table::Table, usize, usize) {
        let mut columns = COLUMNS;
        loop {
            let layout = self.layout(columns);
            let widths = layout.column_max_content_widths();
            let widths = || widths.iter().map(|width| usize::from(*width));
            let width: usize = widths().map(|width| width + GAP).sum();
            if columns <= 1 || width <= self.style.width + GAP {
                let second = widths().next().filter(|_| columns > 1);
                let indent = second.map_or(INDENT, |width| width + GAP);
                return (layout, columns, indent);
            }
            columns -= 1;
        }
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layout, columns, indent) = self.fitting();
        let mut rows = self.rows.iter();
        for (index, line) in layout.lines().enumerate() {
            let line = line.trim_end();
            let Some(Row { cells, role }) = (index > 0).then(|| rows.next()).flatten() else {
                writeln!(f, "{line}")?;
                continue;
            };
            let last = cells.last().map(String::as_str).unwrap_or_default();
            let paint = |text: &str| match role {
                Some(role) => self.style.paint(*role, text),
                None => text.to_owned(),
            };
            // Colour goes on after the layout, which would count it as width.
            match line.strip_suffix(last) {
                Some(before) if columns == COLUMNS => writeln!(f, "{before}{}", paint(last))?,
                _ => writeln!(f, "{line}")?,
            }
            for (column, cell) in cells.iter().enumerate().skip(columns) {
                let cell = wrap(cell, indent, self.style.width);
                let cell = if column + 1 == COLUMNS {
                    paint(&cell)
                } else {
                    cell
                };
                writeln!(f, "{:indent$}{cell}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_look_like_those_of_kubectl() {
        let mut table = Table::new(Style::default(), ["NAME", "VERDICT"]);
        table
            .row(["a", "ready"], None)
            .row(["a-longer-name", ""], None)
            .row(["größe", "two\nlines"], None);
        insta::assert_snapshot!(table, @r"
        NAME            VERDICT
        a               ready
        a-longer-name   <none>
        größe           two\nlines
        ");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let style = Style {
            color: true,
            terminal: true,
            ..Style::default()
        };
        let mut table = Table::new(style, ["NAME", "VERDICT"]);
        table
            .row(["a", "ready"], Some(Role::Good))
            .row(["longer", "blocked"], Some(Role::Error));
        insta::assert_snapshot!(table.to_string().replace('\u{1b}', "^["), @"
        NAME     VERDICT
        a        ^[[32mready^[[0m
        longer   ^[[1;31mblocked^[[0m
        ");
    }

    #[test]
    fn columns_that_do_not_fit_go_below_their_row() {
        let show = |width| {
            let style = Style {
                width,
                ..Style::default()
            };
            let mut table = Table::new(style, ["ACTION", "OBJECT", "WHERE", "WHY"]);
            table
                .row(
                    [
                        "edit",
                        "shop/networkpolicy/db",
                        "k8s/shop.yaml:12",
                        "open port 15008 in 1 rule",
                    ],
                    None,
                )
                .row(
                    [
                        "create",
                        "shop/networkpolicy/web",
                        "k8s/web.yaml:3",
                        "it has to be open",
                    ],
                    None,
                );
            table.to_string()
        };
        insta::assert_snapshot!(show(80), @"
        ACTION   OBJECT                   WHERE              WHY
        edit     shop/networkpolicy/db    k8s/shop.yaml:12   open port 15008 in 1 rule
        create   shop/networkpolicy/web   k8s/web.yaml:3     it has to be open
        ");
        insta::assert_snapshot!(show(50), @"
        ACTION   OBJECT                   WHERE
        edit     shop/networkpolicy/db    k8s/shop.yaml:12
                 open port 15008 in 1 rule
        create   shop/networkpolicy/web   k8s/web.yaml:3
                 it has to be open
        ");
        insta::assert_snapshot!(show(30), @"
        ACTION
        edit
          shop/networkpolicy/db
          k8s/shop.yaml:12
          open port 15008 in 1 rule
        create
          shop/networkpolicy/web
          k8s/web.yaml:3
          it has to be open
        ");
        insta::assert_snapshot!(show(10), @"
        ACTION
        edit
          shop/networkpolicy/db
          k8s/shop.yaml:12
          open
          port
          15008 in
          1 rule
        create
          shop/networkpolicy/web
          k8s/web.yaml:3
          it has
          to be
          open
        ");
    }
}
