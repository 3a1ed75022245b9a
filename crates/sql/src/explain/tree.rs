//! What EXPLAIN shows before it has a form: a tree of labelled values.
//!
//! # Role
//! [`super::describe`] makes it of a plan, [`super::render`] writes it as text, JSON, YAML or XML. Each entry says by its
//! [`Shown`] where it appears: the text form says in a node's headline, or in a line of its own, what the others have as
//! several properties.

use std::borrow::Cow;

/// A labelled value.
#[derive(Debug)]
pub(super) struct Entry {
    pub label: Cow<'static, str>,
    pub value: Value,
    pub shown: Shown,
}

/// Where an entry appears.
#[derive(Debug)]
pub(super) enum Shown {
    /// In every form; in the text form as `label: value`, with a unit behind it.
    Always(&'static str),
    /// In all forms but the text form.
    Structured,
    /// In the text form only, as this line.
    Line(String),
    /// In the text form this line stands above what the group has to say there.
    Headed(String),
}

#[derive(Debug)]
pub(super) enum Value {
    Nothing,
    Text(String),
    /// A number as it is to be printed.
    Number(String),
    Bool(bool),
    List(Vec<String>),
    /// Lists within a list, and what one is called.
    Lists(Vec<Vec<String>>, &'static str),
    Group(Vec<Entry>),
    /// Groups of the same kind, and what one is called.
    Groups(Vec<Vec<Entry>>, &'static str),
    Plan(Box<Node>),
}

/// An operator of a plan.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The text form: what stands above the node (`InitPlan 1`).
    pub above: Option<String>,
    /// The text form: what it is, its estimates and counters.
    pub headline: String,
    pub entries: Vec<Entry>,
    pub children: Vec<Node>,
}

impl Entry {
    fn new(label: impl Into<Cow<'static, str>>, value: Value, shown: Shown) -> Entry {
        Entry { label: label.into(), value, shown }
    }

    /// A text that every form shows.
    pub fn text(label: &'static str, value: impl Into<String>) -> Entry {
        Entry::new(label, Value::Text(value.into()), Shown::Always(""))
    }

    /// A text that the text form shows in another way.
    pub fn hidden(label: &'static str, value: impl Into<String>) -> Entry {
        Entry::new(label, Value::Text(value.into()), Shown::Structured)
    }

    /// A flag that the text form does not show.
    pub fn hidden_flag(label: &'static str, value: bool) -> Entry {
        Entry::new(label, Value::Bool(value), Shown::Structured)
    }

    /// A flag that every form shows.
    pub fn flag(label: &'static str, value: bool) -> Entry {
        Entry::new(label, Value::Bool(value), Shown::Always(""))
    }

    /// A list that every form shows.
    pub fn list(label: &'static str, values: Vec<String>) -> Entry {
        Entry::new(label, Value::List(values), Shown::Always(""))
    }

    /// A whole number that every form shows, with a unit in the text form.
    pub fn count(label: &'static str, value: u64, unit: &'static str) -> Entry {
        Entry::new(label, Value::Number(value.to_string()), Shown::Always(unit))
    }

    /// A whole number that the text form does not show by itself.
    pub fn hidden_count(label: &'static str, value: u64) -> Entry {
        Entry::new(label, Value::Number(value.to_string()), Shown::Structured)
    }

    /// A number with so many decimals that every form shows.
    pub fn number(label: &'static str, value: f64, decimals: usize, unit: &'static str) -> Entry {
        Entry::new(label, Value::Number(format!("{value:.decimals$}")), Shown::Always(unit))
    }

    /// A number with so many decimals that the text form does not show by itself.
    pub fn hidden_number(label: &'static str, value: f64, decimals: usize) -> Entry {
        Entry::new(label, Value::Number(format!("{value:.decimals$}")), Shown::Structured)
    }

    /// A value of any kind that the text form does not show by itself.
    pub fn structured(label: impl Into<Cow<'static, str>>, value: Value) -> Entry {
        Entry::new(label, value, Shown::Structured)
    }

    /// A group that stands below a line of the text form; without one below its label, if it has anything to say there.
    pub fn group(label: &'static str, entries: Vec<Entry>, line: Option<String>) -> Entry {
        Entry::new(label, Value::Group(entries), line.map_or(Shown::Always(""), Shown::Headed))
    }

    /// A line of the text form.
    pub fn line(text: impl Into<String>) -> Entry {
        Entry::new("", Value::Nothing, Shown::Line(text.into()))
    }

    /// A plan.
    pub fn plan(node: Node) -> Entry {
        Entry::new("Plan", Value::Plan(Box::new(node)), Shown::Always(""))
    }
}
