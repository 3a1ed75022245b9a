//! The forms of EXPLAIN's answer.

use std::fmt::Write;

use super::options::ExplainFormat;
use super::tree::{Entry, Node, Shown, Value};

/// The rows of the answer to a query: one for each line of the text form, one in all for the others.
pub(super) fn query(entries: &[Entry], format: ExplainFormat) -> Vec<String> {
    match format {
        ExplainFormat::Text => {
            let mut lines = Vec::new();
            text_entries(&mut lines, entries, 0);
            lines
        }
        ExplainFormat::Json => {
            let mut out = String::from("[\n  ");
            json_group(&mut out, entries, None, 2);
            out.push_str("\n]");
            vec![out]
        }
        ExplainFormat::Yaml => {
            let mut out = String::new();
            yaml_group(&mut out, entries, None, 0, true);
            vec![out.trim_start_matches('\n').to_owned()]
        }
        ExplainFormat::Xml => {
            let mut out = format!("<explain xmlns=\"{XML_NAMESPACE}\">\n");
            xml_group(&mut out, "Query", entries, None, 2);
            out.push_str("</explain>");
            vec![out]
        }
    }
}

/// The answer for a statement that has no plan.
pub(super) fn utility(format: ExplainFormat) -> String {
    match format {
        ExplainFormat::Text => "Utility statements have no plan structure".to_owned(),
        ExplainFormat::Json => "[\n  \"Utility Statement\"\n]".to_owned(),
        ExplainFormat::Yaml => "- \"Utility Statement\"".to_owned(),
        ExplainFormat::Xml => {
            format!("<explain xmlns=\"{XML_NAMESPACE}\">\n  <Utility-Statement />\n</explain>")
        }
    }
}

/// The namespace that PostgreSQL's documents name, and tools look for.
const XML_NAMESPACE: &str = "http://www.postgresql.org/2009/explain";

// Text.

fn text_entries(lines: &mut Vec<String>, entries: &[Entry], margin: usize) {
    for entry in entries {
        match (&entry.shown, &entry.value) {
            (Shown::Structured, _) => {}
            (Shown::Line(line), _) => lines.push(format!("{:margin$}{line}", "")),
            (Shown::Always(_), Value::Plan(node)) => text_node(lines, node, 0),
            (Shown::Always(_), Value::Group(entries)) => {
                let mut within = Vec::new();
                text_entries(&mut within, entries, margin + 2);
                if !within.is_empty() {
                    lines.push(format!("{:margin$}{}:", "", entry.label));
                    lines.append(&mut within);
                }
            }
            (Shown::Headed(line), value) => {
                lines.push(format!("{:margin$}{line}", ""));
                if let Value::Group(entries) = value {
                    text_entries(lines, entries, margin + 2);
                }
            }
            (Shown::Always(unit), value) => {
                let value = match value {
                    Value::Text(text) | Value::Number(text) => text.clone(),
                    Value::Bool(flag) => flag.to_string(),
                    Value::List(items) => items.join(", "),
                    _ => continue,
                };
                lines.push(format!("{:margin$}{}: {value}{unit}", "", entry.label));
            }
        }
    }
}

/// A node whose text begins at a column; the root's begins at 0, others stand behind an arrow.
fn text_node(lines: &mut Vec<String>, node: &Node, at: usize) {
    const ARROW: &str = "->  ";
    let arrow = if at == 0 { String::new() } else { format!("{:>at$}", ARROW) };
    lines.push(format!("{arrow}{}", node.headline));
    text_entries(lines, &node.entries, at + 2);
    for child in &node.children {
        // What has a name of its own stands below it, further in.
        let inset = match &child.above {
            Some(above) => {
                lines.push(format!("{:1$}{above}", "", at + 2));
                2
            }
            None => 0,
        };
        text_node(lines, child, at + 2 + inset + ARROW.len());
    }
}

// What the other forms show.

fn shown(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| !matches!(entry.shown, Shown::Line(_)))
}

fn json_string(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len() + 2);
    ochre_types::jsonb::print_string(text, &mut bytes);
    String::from_utf8(bytes).expect("texts are printed as texts")
}

// JSON.

/// `{ … }`, whose lines begin at `indent`.
fn json_group(out: &mut String, entries: &[Entry], plans: Option<&[Node]>, indent: usize) {
    let mut separator = "{\n";
    for entry in shown(entries) {
        let _ = write!(out, "{separator}{:1$}", "", indent + 2);
        separator = ",\n";
        let _ = write!(out, "{}: ", json_string(&entry.label));
        json_value(out, &entry.value, indent + 2);
    }
    if let Some(plans) = plans.filter(|plans| !plans.is_empty()) {
        let _ = writeln!(out, "{separator}{:1$}\"Plans\": [", "", indent + 2);
        for (i, node) in plans.iter().enumerate() {
            let _ = write!(out, "{}{:2$}", if i == 0 { "" } else { ",\n" }, "", indent + 4);
            json_group(out, &node.entries, Some(&node.children), indent + 4);
        }
        let _ = write!(out, "\n{:1$}]", "", indent + 2);
    }
    let _ = write!(out, "\n{:indent$}}}", "");
}

fn json_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Nothing => out.push_str("null"),
        Value::Text(text) => out.push_str(&json_string(text)),
        Value::Number(number) => out.push_str(number),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::List(items) => out.push_str(&json_list(items)),
        Value::Lists(lists, _) => {
            out.push('[');
            for (i, list) in lists.iter().enumerate() {
                let separator = if i == 0 { "" } else { "," };
                let _ = write!(out, "{separator}\n{:1$}{list}", "", indent + 2, list = json_list(list));
            }
            let _ = write!(out, "\n{:indent$}]", "");
        }
        Value::Group(entries) => json_group(out, entries, None, indent),
        Value::Groups(groups, _) => {
            out.push('[');
            for (i, group) in groups.iter().enumerate() {
                let _ = write!(out, "{}\n{:2$}", if i == 0 { "" } else { "," }, "", indent + 2);
                json_group(out, group, None, indent + 2);
            }
            let _ = write!(out, "\n{:indent$}]", "");
        }
        Value::Plan(node) => json_group(out, &node.entries, Some(&node.children), indent),
    }
}

fn json_list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| json_string(item)).collect();
    format!("[{}]", items.join(", "))
}

// YAML.

/// The lines of a mapping, each behind a line break; the first one behind a dash where the mapping is an item of a list.
fn yaml_group(out: &mut String, entries: &[Entry], plans: Option<&[Node]>, indent: usize, item: bool) {
    let mut dash = item;
    let mut begin = |out: &mut String| {
        let mark = if std::mem::take(&mut dash) {
            "- "
        } else if item {
            "  "
        } else {
            ""
        };
        let _ = write!(out, "\n{:indent$}{mark}", "");
    };
    let inner = indent + if item { 4 } else { 2 };
    for entry in shown(entries) {
        begin(out);
        let _ = write!(out, "{}: ", entry.label);
        yaml_value(out, &entry.value, inner);
    }
    if let Some(plans) = plans.filter(|plans| !plans.is_empty()) {
        begin(out);
        out.push_str("Plans: ");
        for node in plans {
            yaml_group(out, &node.entries, Some(&node.children), inner, true);
        }
    }
}

fn yaml_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Nothing => out.push_str("null"),
        Value::Text(text) => out.push_str(&json_string(text)),
        Value::Number(number) => out.push_str(number),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::List(items) => {
            for item in items {
                let _ = write!(out, "\n{:indent$}- {}", "", json_string(item));
            }
        }
        Value::Lists(lists, _) => {
            for list in lists {
                let _ = write!(out, "\n{:indent$}- {}", "", json_list(list));
            }
        }
        Value::Group(entries) => yaml_group(out, entries, None, indent, false),
        Value::Groups(groups, _) => {
            groups.iter().for_each(|group| yaml_group(out, group, None, indent, true));
        }
        Value::Plan(node) => yaml_group(out, &node.entries, Some(&node.children), indent, false),
    }
}

// XML.

/// A label as the name of an element.
fn xml_name(label: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    label.chars().map(plain).collect()
}

fn xml_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#x0d;"),
            other => out.push(other),
        }
    }
    out
}

fn xml_group(out: &mut String, label: &str, entries: &[Entry], plans: Option<&[Node]>, indent: usize) {
    let name = xml_name(label);
    let _ = writeln!(out, "{:indent$}<{name}>", "");
    for entry in shown(entries) {
        xml_value(out, &entry.label, &entry.value, indent + 2);
    }
    if let Some(plans) = plans.filter(|plans| !plans.is_empty()) {
        let _ = writeln!(out, "{:1$}<Plans>", "", indent + 2);
        for node in plans {
            xml_group(out, "Plan", &node.entries, Some(&node.children), indent + 4);
        }
        let _ = writeln!(out, "{:1$}</Plans>", "", indent + 2);
    }
    let _ = writeln!(out, "{:indent$}</{name}>", "");
}

fn xml_items(out: &mut String, label: &str, items: &[String], indent: usize) {
    let name = xml_name(label);
    let _ = writeln!(out, "{:indent$}<{name}>", "");
    for item in items {
        let _ = writeln!(out, "{:1$}<Item>{item}</Item>", "", indent + 2, item = xml_text(item));
    }
    let _ = writeln!(out, "{:indent$}</{name}>", "");
}

fn xml_value(out: &mut String, label: &str, value: &Value, indent: usize) {
    let name = xml_name(label);
    let simple = match value {
        Value::Nothing => String::new(),
        Value::Text(text) => xml_text(text),
        Value::Number(number) => number.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::List(items) => return xml_items(out, label, items, indent),
        Value::Lists(lists, each) => {
            let _ = writeln!(out, "{:indent$}<{name}>", "");
            lists.iter().for_each(|list| xml_items(out, each, list, indent + 2));
            let _ = writeln!(out, "{:indent$}</{name}>", "");
            return;
        }
        Value::Group(entries) => return xml_group(out, label, entries, None, indent),
        Value::Groups(groups, each) => {
            let _ = writeln!(out, "{:indent$}<{name}>", "");
            groups.iter().for_each(|group| xml_group(out, each, group, None, indent + 2));
            let _ = writeln!(out, "{:indent$}</{name}>", "");
            return;
        }
        Value::Plan(node) => return xml_group(out, label, &node.entries, Some(&node.children), indent),
    };
    let _ = writeln!(out, "{:indent$}<{name}>{simple}</{name}>", "");
}
