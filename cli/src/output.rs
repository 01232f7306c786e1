//! Formats of the output of commands.

use anyhow::Result;
use comfy_table::{Table, presets::NOTHING};
use serde_json::Value;

use crate::create::text;

/// Format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Columns for people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// The names alone.
    Name,
}

/// Prints rows; a table shows these fields, each in a column under its name in upper case.
pub(crate) fn print(rows: &[Value], output: Output, columns: &[&str]) -> Result<()> {
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(rows)?),
        Output::Yaml => print!("{}", serde_saphyr::to_string(&rows)?),
        Output::Name => rows.iter().for_each(|row| println!("{}", text(&row["name"]))),
        Output::Table => println!("{}", table(rows, columns)),
    }
    Ok(())
}

fn table(rows: &[Value], columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(columns.iter().map(|column| column.to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(&row[*column])));
    }
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_its_columns_and_leaves_out_what_is_absent() {
        let shown = table(&[json!({"name": "a", "count": 3}), json!({"name": "b"})], &["name", "count"]).to_string();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [vec!["NAME", "COUNT"], vec!["a", "3"], vec!["b"]]);
    }
}
