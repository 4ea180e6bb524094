//! Columns that line up.

use super::output::Cell;

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// `rows` under `header`, two blanks between columns, nothing behind the last.
pub(super) fn layout(header: &[(&str, Align)], rows: &[Vec<Cell>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([header[column].0.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let titles: Vec<_> = header.iter().map(|(title, _)| Cell::faint(*title)).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - cell.text.chars().count());
            let last = column + 1 == row.len();
            match header[column].1 {
                Align::Left if last => text += &cell.painted(),
                Align::Left => text += &(cell.painted() + &padding),
                Align::Right => text += &(padding + &cell.painted()),
            }
            text += if last { "\n" } else { "  " };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_blank_end() {
        let rows = [
            vec![Cell::plain("7"), Cell::plain("bwa")],
            vec![Cell::plain("12"), Cell::plain("samtools sort")],
        ];
        let text = layout(&[("ID", Align::Right), ("NAME", Align::Left)], &rows);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "ID  NAME\n 7  bwa\n12  samtools sort\n");
    }
}
