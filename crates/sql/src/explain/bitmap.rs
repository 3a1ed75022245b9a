//! The bitmaps of a bitmap scan, which are no operators of their own here.

use super::actual::{Actual, BitmapReport, NodeReport};
use super::conditions::index_cond;
use super::describe::{Describer, related};
use super::kind::Kind;
use super::names;
use super::tree::{Entry, Node};
use crate::physical::{BitmapSource, Estimate, ScanSource};

impl<'a> Describer<'a> {
    pub(super) fn bitmap(
        &mut self,
        source: &'a BitmapSource,
        table: &ScanSource,
        reports: &mut Option<std::slice::Iter<'_, BitmapReport>>,
    ) -> Node {
        let report = reports.as_mut().map(|reports| reports.next().copied().unwrap_or_default());
        let actual = report.map(|report| Actual {
            loops: report.loops,
            rows: report.rows,
            startup_ms: report.total_ms,
            total_ms: report.total_ms,
            usage: report.usage,
            workers: 0,
            report: NodeReport::default(),
        });
        match source {
            BitmapSource::Index { index, bounds, rows, cost } => {
                let estimate = Estimate { total_cost: *cost, rows: *rows, ..Estimate::default() };
                let mut kind = Kind::plain("Bitmap Index Scan").property("Index Name", &*index.name);
                kind.target = format!(" on {}", names::quote(&index.name));
                let mut node = self.begin(kind, &estimate, actual.as_ref());
                let text = index_cond(&self.names(), table, index, bounds);
                node.entries.extend(text.map(|text| Entry::text("Index Cond", text)));
                if let Some(report) = report {
                    node.entries.push(Entry::count("Index Searches", report.searches, ""));
                }
                self.add_usage(&mut node, actual.map(|actual| actual.usage));
                node
            }
            BitmapSource::And(parts) | BitmapSource::Or(parts) => {
                let (kind, combined) = if matches!(source, BitmapSource::And(_)) {
                    (Kind::plain("BitmapAnd"), combined_rows(parts, f64::min))
                } else {
                    (Kind::plain("BitmapOr"), combined_rows(parts, |a, b| a + b))
                };
                let total_cost = bitmap_cost(source);
                let estimate = Estimate { startup_cost: total_cost, total_cost, rows: combined, width: 0 };
                let mut node = self.begin(kind, &estimate, actual.as_ref());
                self.add_usage(&mut node, actual.map(|actual| actual.usage));
                for part in parts {
                    node.children.push(related(self.bitmap(part, table, reports), "Member"));
                }
                node
            }
        }
    }
}

fn combined_rows(parts: &[BitmapSource], with: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    parts.iter().map(bitmap_rows).reduce(with).unwrap_or(0.0)
}

fn bitmap_rows(source: &BitmapSource) -> f64 {
    match source {
        BitmapSource::Index { rows, .. } => *rows,
        BitmapSource::And(parts) => combined_rows(parts, f64::min),
        BitmapSource::Or(parts) => combined_rows(parts, |a, b| a + b),
    }
}

fn bitmap_cost(source: &BitmapSource) -> f64 {
    match source {
        BitmapSource::Index { cost, .. } => *cost,
        BitmapSource::And(parts) | BitmapSource::Or(parts) => parts.iter().map(bitmap_cost).sum(),
    }
}
