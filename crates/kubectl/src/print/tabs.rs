//! Columns out of text with tabs, as Go's text/tabwriter lays them out.
//!
//! A cell ends with a tab; what follows the last tab of a line is no cell. A column is a run of lines that all have a
//! cell there, so a line without one begins a new column.

/// How wide cells are made.
#[derive(Clone, Debug)]
pub(crate) struct Tabs {
    minimum: usize,
    padding: usize,
    /// What columns were as wide as before; later lines keep to it.
    remembered: Option<Vec<usize>>,
}

impl Tabs {
    /// As `kubectl get` prints.
    pub(crate) fn table() -> Self {
        Tabs { minimum: 6, padding: 3, remembered: Some(Vec::new()) }
    }

    /// As `kubectl describe` prints.
    pub(crate) fn description() -> Self {
        Tabs { minimum: 0, padding: 2, remembered: None }
    }

    /// The text with its columns.
    pub(crate) fn format(&mut self, text: &str) -> String {
        let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut out = String::with_capacity(text.len() * 2);
        self.block(&mut out, &lines, 0, lines.len(), &mut Vec::new());
        // Every line was ended; the text's last one was not.
        out.pop();
        out
    }

    /// Formats `lines[from..to]`, the widths of whose leading columns are known.
    fn block(&mut self, out: &mut String, lines: &[Vec<&str>], from: usize, to: usize, widths: &mut Vec<usize>) {
        let column = widths.len();
        let (mut line, mut written) = (from, from);
        while line < to {
            if column + 1 >= lines[line].len() {
                line += 1;
                continue;
            }
            write_lines(out, &lines[written..line], widths);
            let begin = line;
            let mut width = self.minimum;
            while line < to && column + 1 < lines[line].len() {
                let cell = lines[line][column].chars().count();
                width = width.max(cell + self.padding);
                line += 1;
            }
            if let Some(remembered) = &mut self.remembered {
                remembered.resize(remembered.len().max(column + 1), 0);
                width = width.max(remembered[column]);
                remembered[column] = width;
            }
            widths.push(width);
            self.block(out, lines, begin, line, widths);
            widths.pop();
            written = line;
        }
        write_lines(out, &lines[written..to], widths);
    }
}

fn write_lines(out: &mut String, lines: &[Vec<&str>], widths: &[usize]) {
    for cells in lines {
        for (index, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if index + 1 < cells.len() {
                let width = widths.get(index).copied().unwrap_or_default();
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_ends_with_the_first_line_that_has_no_cell_in_it() {
        let text = "Name:\tx\nLonger name:\ty\nIPs:\n  IP:\t1\nA:\tb\n";
        let expected = "Name:         x\nLonger name:  y\nIPs:\n  IP:  1\nA:     b\n";
        assert_eq!(Tabs::description().format(text), expected);
    }

    #[test]
    fn later_lines_keep_the_width_of_earlier_ones() {
        let mut tabs = Tabs::table();
        assert_eq!(tabs.format("NAME\tAGE\nlong-name\t1s\n"), "NAME        AGE\nlong-name   1s\n");
        assert_eq!(tabs.format("a\t2s\n"), "a           2s\n");
    }
}
