//! Pages and log, as a line of the text form and as properties.

use ochre_base::{Usage, limits};

use super::tree::Entry;

/// Pages, and temporary files: a line of the text form, and properties.
pub(super) fn buffers(entries: &mut Vec<Entry>, usage: Usage) {
    const BLOCK: u64 = limits::PAGE_SIZE as u64;
    let (temp_read, temp_written) =
        (usage.temp_read_bytes.div_ceil(BLOCK), usage.temp_written_bytes.div_ceil(BLOCK));
    let part = |name: &str, counts: &[(&str, u64)]| {
        let texts: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{what}={count}"))
            .collect();
        if texts.is_empty() { None } else { Some(format!("{name} {}", texts.join(" "))) }
    };
    let shared = part(
        "shared",
        &[
            ("hit", usage.pages_hit),
            ("read", usage.pages_read),
            ("dirtied", usage.pages_dirtied),
            ("written", usage.pages_written),
        ],
    );
    let temp = part("temp", &[("read", temp_read), ("written", temp_written)]);
    let parts: Vec<String> = shared.into_iter().chain(temp).collect();
    if !parts.is_empty() {
        entries.push(Entry::line(format!("Buffers: {}", parts.join(", "))));
    }
    for (label, count) in [
        ("Shared Hit Blocks", usage.pages_hit),
        ("Shared Read Blocks", usage.pages_read),
        ("Shared Dirtied Blocks", usage.pages_dirtied),
        ("Shared Written Blocks", usage.pages_written),
        ("Local Hit Blocks", 0),
        ("Local Read Blocks", 0),
        ("Local Dirtied Blocks", 0),
        ("Local Written Blocks", 0),
        ("Temp Read Blocks", temp_read),
        ("Temp Written Blocks", temp_written),
    ] {
        entries.push(Entry::hidden_count(label, count));
    }
}

pub(super) fn wal(entries: &mut Vec<Entry>, usage: Usage) {
    let counts = [
        ("records", "WAL Records", usage.wal_records),
        ("fpi", "WAL FPI", usage.wal_images),
        ("bytes", "WAL Bytes", usage.wal_bytes),
        ("buffers full", "WAL Buffers Full", usage.wal_buffers_full),
    ];
    counted(entries, "WAL", &counts);
}

/// Counts by their short name and their property: one line of those that are not zero, and each as a property.
pub(super) fn counted(entries: &mut Vec<Entry>, title: &str, counts: &[(&str, &'static str, u64)]) {
    let texts: Vec<String> = counts
        .iter()
        .filter(|(.., count)| *count > 0)
        .map(|(name, _, count)| format!("{name}={count}"))
        .collect();
    if !texts.is_empty() {
        entries.push(Entry::line(format!("{title}: {}", texts.join(" "))));
    }
    entries.extend(counts.iter().map(|(_, label, count)| Entry::hidden_count(label, *count)));
}
