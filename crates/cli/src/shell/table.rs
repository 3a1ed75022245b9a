//! Results as boxes.

use unicode_width::UnicodeWidthStr;

/// A result to be drawn: names, which columns are numbers, and rows of texts (`None` for NULL).
#[derive(Debug, Default)]
pub struct Table {
    pub names: Vec<String>,
    pub numeric: Vec<bool>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// Control characters would break the box.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '↵',
            '\t' => ' ',
            c if c.is_control() => '·',
            c => c,
        })
        .collect()
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width - text.width());
    if right { format!("{space}{text}") } else { format!("{text}{space}") }
}

impl Table {
    /// The result as a box with a line a row.
    pub fn draw(&self) -> String {
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| printable(cell.as_deref().unwrap_or_default())).collect())
            .collect();
        let widths: Vec<usize> = (0..self.names.len())
            .map(|i| cells.iter().map(|row| row[i].width()).chain([self.names[i].width()]).max().unwrap_or(0))
            .collect();
        let rule = |left: char, middle: &str, right: char| {
            let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            format!("{left}{}{right}\n", bars.join(middle))
        };
        let mut out = rule('┌', "┬", '┐');
        let line = |cells: &[String], right: &dyn Fn(usize) -> bool| {
            let cells: Vec<String> = cells
                .iter()
                .enumerate()
                .map(|(i, cell)| format!(" {} ", pad(cell, widths[i], right(i))))
                .collect();
            format!("│{}│\n", cells.join("│"))
        };
        out.push_str(&line(&self.names, &|_| false));
        out.push_str(&rule('├', "┼", '┤'));
        for row in &cells {
            out.push_str(&line(row, &|i| self.numeric[i]));
        }
        out.push_str(&rule('└', "┴", '┘'));
        out.push_str(&self.count());
        out
    }

    /// The result with a line a value.
    pub fn draw_expanded(&self) -> String {
        let width = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            out.push_str(&format!("─[ row {} ]─\n", number + 1));
            for (name, cell) in self.names.iter().zip(row) {
                out.push_str(&format!(
                    "{} │ {}\n",
                    pad(name, width, false),
                    cell.as_deref().unwrap_or_default()
                ));
            }
        }
        out.push_str(&self.count());
        out
    }

    fn count(&self) -> String {
        match self.rows.len() {
            1 => "(1 row)\n".to_string(),
            rows => format!("({rows} rows)\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_text_left() {
        let table = Table {
            names: vec!["name".into(), "salary".into()],
            numeric: vec![false, true],
            rows: vec![vec![Some("Alice Johnson".into()), Some("95000".into())]],
        };
        assert_eq!(
            table.draw(),
            "┌───────────────┬────────┐\n│ name          │ salary │\n├───────────────┼────────┤\n\
             │ Alice Johnson │  95000 │\n└───────────────┴────────┘\n(1 row)\n"
        );
    }
}
