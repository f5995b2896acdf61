//! Markdown tables, with columns as wide as their cells.

/// A table that grows row by row.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        println!("\n### {title}\n");
        Self { rows: vec![columns.iter().map(|c| (*c).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "{cells:?}");
        self.rows.push(cells);
    }

    pub fn print(&self) {
        let width = |i: usize| self.rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for (i, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(c, &w)| format!("{c:w$}")).collect();
            println!("| {} |", cells.join(" | "));
            if i == 0 {
                let rules: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
                println!("|-{}-|", rules.join("-|-"));
            }
        }
    }
}

/// Ours and CASA's, once if they read the same.
pub fn pair(ours: impl ToString, casa: impl ToString) -> String {
    let (ours, casa) = (ours.to_string(), casa.to_string());
    if ours == casa { ours } else { format!("{ours} / {casa}") }
}

/// A relative difference.
pub fn relative(ours: f64, casa: f64) -> f64 {
    if ours == casa { 0.0 } else { ours / casa - 1.0 }
}

/// Largest magnitude.
pub fn worst(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(f64::abs).fold(0.0, f64::max)
}
