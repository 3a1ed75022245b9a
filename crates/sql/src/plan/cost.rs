//! What operators cost, in PostgreSQL's units and after its formulas.

use super::PlannerSettings;
use crate::physical::Estimate;

/// Cost of comparing two sort keys, in operator costs.
const COMPARISON_COST: f64 = 2.0;

/// A full read of a table.
pub(crate) fn seq_scan(
    settings: &PlannerSettings,
    pages: f64,
    tuples: f64,
    qual_cost: f64,
    rows: f64,
    width: u32,
) -> Estimate {
    let run = pages * settings.seq_page_cost + tuples * (settings.cpu_tuple_cost + qual_cost);
    Estimate { startup_cost: 0.0, total_cost: run, rows, width }
}

/// What an index scan reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexWork {
    /// Share of the index's entries.
    pub index_selectivity: f64,
    /// Entries of the index.
    pub index_tuples: f64,
    /// Pages of the index.
    pub index_pages: f64,
    /// Pages of the table.
    pub table_pages: f64,
    /// Correlation of index order and row order.
    pub correlation: f64,
    /// The table's pages are not read.
    pub index_only: bool,
    /// How many descents: one for each element of a list.
    pub searches: f64,
    /// How often the scan runs (once for each outer row).
    pub loops: f64,
    /// Cost of the conditions that are checked on each row.
    pub qual_cost: f64,
}

/// Start-up and total cost of an index scan.
pub(crate) fn index_scan(settings: &PlannerSettings, work: IndexWork) -> (f64, f64) {
    let entries = (work.index_selectivity * work.index_tuples).max(1.0).round();
    let pages = (work.index_selectivity * work.index_pages).ceil().max(1.0);
    let descent =
        (work.index_tuples.max(2.0).log2().ceil() + 50.0) * settings.cpu_operator_cost * work.searches;
    let index_io = if work.loops > 1.0 {
        // Upper pages and neighbours are in the cache after the first runs.
        pages_fetched(pages * work.loops, work.index_pages, settings) * settings.random_page_cost / work.loops
    } else {
        pages * settings.random_page_cost
    };
    let index_cpu = entries * (settings.cpu_index_tuple_cost + settings.cpu_operator_cost);
    let (min_io, max_io) = if work.index_only {
        (0.0, 0.0)
    } else if work.loops > 1.0 {
        let fetched = pages_fetched(entries * work.loops, work.table_pages, settings);
        let max = fetched * settings.random_page_cost / work.loops;
        let sequential = (work.index_selectivity * work.table_pages).ceil();
        let min = pages_fetched(sequential * work.loops, work.table_pages, settings)
            * settings.random_page_cost
            / work.loops;
        (min, max)
    } else {
        let max = pages_fetched(entries, work.table_pages, settings) * settings.random_page_cost;
        let sequential = (work.index_selectivity * work.table_pages).ceil();
        let min = if sequential > 0.0 {
            settings.random_page_cost + (sequential - 1.0) * settings.seq_page_cost
        } else {
            0.0
        };
        (min, max)
    };
    let heap_io = max_io + work.correlation * work.correlation * (min_io - max_io);
    let cpu = entries * (settings.cpu_tuple_cost + work.qual_cost);
    (descent, descent + index_io + index_cpu + heap_io + cpu)
}

/// What it takes to begin with a bitmap, in operator costs: that of a page or so in memory.
const BITMAP_SETUP_COST: f64 = 400.0;
/// What it takes to enter a row and to take it out again, in operator costs. PostgreSQL counts a tenth of one; beside a scan
/// that filters all rows of a page at once it is far more than that.
const BITMAP_ROW_COST: f64 = 8.0;
/// What each page of a bitmap takes beside reading it, in operator costs. With pages in memory an index scan is the faster
/// one until it comes back to pages; then the bitmap is.
const BITMAP_PAGE_COST: f64 = 200.0;

/// Cost of making a bitmap of an index.
pub(crate) fn bitmap_index(settings: &PlannerSettings, work: IndexWork) -> f64 {
    let entries = (work.index_selectivity * work.index_tuples).max(1.0).round();
    let (_, whole) = index_scan(settings, IndexWork { index_only: true, qual_cost: 0.0, ..work });
    // No row is looked at yet.
    whole - entries * settings.cpu_tuple_cost
        + (BITMAP_SETUP_COST + BITMAP_ROW_COST * entries) * settings.cpu_operator_cost
}

/// Start-up and total cost of reading the rows of a bitmap, in the order of their pages.
pub(crate) fn bitmap_heap(
    settings: &PlannerSettings,
    bitmap_cost: f64,
    selectivity: f64,
    pages: f64,
    tuples: f64,
    loops: f64,
    qual_cost: f64,
) -> (f64, f64) {
    /// Bytes that a page's rows take in a bitmap.
    const PAGE_BYTES: f64 = 72.0;
    let pages = pages.max(1.0);
    let mut rows = (selectivity * tuples).max(1.0).round();
    let fetched = if loops > 1.0 {
        pages_fetched(rows * loops, pages, settings) / loops
    } else {
        (2.0 * pages * rows / (2.0 * pages + rows)).min(pages).ceil()
    };
    let room = (settings.work_mem_bytes / PAGE_BYTES).max(1.0);
    if fetched > room {
        // Of pages that are known as wholes all rows are looked at.
        let lossy = (fetched - room / 2.0).max(0.0) / fetched;
        rows += lossy * (tuples * fetched / pages - rows).max(0.0);
    }
    // The nearer its pages are to each other, the more it is like reading all of them.
    let saved = (settings.random_page_cost - settings.seq_page_cost) * (fetched / pages);
    let page_cost = settings.random_page_cost - saved + BITMAP_PAGE_COST * settings.cpu_operator_cost;
    let run = fetched * page_cost + rows * (settings.cpu_tuple_cost + qual_cost);
    (bitmap_cost, bitmap_cost + run)
}

/// Distinct pages met by random accesses, after Mackert and Lohman.
fn pages_fetched(tuples: f64, pages: f64, settings: &PlannerSettings) -> f64 {
    let t = pages.max(1.0);
    let cache = settings.effective_cache_size.max(1.0);
    let fetched = if t <= cache {
        (2.0 * t * tuples / (2.0 * t + tuples)).min(t)
    } else {
        let limit = 2.0 * t * cache / (2.0 * t - cache);
        if tuples <= limit {
            2.0 * t * tuples / (2.0 * t + tuples)
        } else {
            cache + (tuples - limit) * (t - cache) / t
        }
    };
    fetched.ceil()
}

/// A sort of so many rows, of which `limit` are needed.
pub(crate) fn sort(settings: &PlannerSettings, input: Estimate, limit: Option<f64>) -> Estimate {
    let tuples = input.rows.max(2.0);
    let bytes = tuples * f64::from(input.width + 24);
    let comparison = COMPARISON_COST * settings.cpu_operator_cost;
    let wanted = limit.unwrap_or(tuples).max(1.0);
    let mut startup = input.total_cost;
    if wanted < tuples && wanted * f64::from(input.width + 24) < settings.work_mem_bytes {
        startup += comparison * tuples * (2.0 * wanted).log2().max(1.0);
    } else if bytes > settings.work_mem_bytes {
        let pages = (bytes / 8192.0).ceil();
        startup += comparison * tuples * tuples.log2();
        startup += 2.0 * pages * (settings.seq_page_cost * 0.75 + settings.random_page_cost * 0.25);
    } else {
        startup += comparison * tuples * tuples.log2();
    }
    let rows = limit.map_or(input.rows, |limit| limit.min(input.rows));
    Estimate {
        startup_cost: startup,
        total_cost: startup + settings.cpu_operator_cost * input.rows,
        rows,
        width: input.width,
    }
}

/// What any sort of so many rows takes at least beside reading them, quickly computed.
pub(crate) fn least_of_sort(settings: &PlannerSettings, rows: f64) -> f64 {
    let tuples = rows.max(2.0);
    COMPARISON_COST * settings.cpu_operator_cost * tuples * f64::from((tuples as u64).ilog2())
}

/// A sort of rows that come group by group, each group's rows having equal leading keys: one group is sorted at a time.
pub(crate) fn incremental_sort(settings: &PlannerSettings, input: Estimate, groups: f64) -> Estimate {
    /// How much larger than an average group those are that count, as PostgreSQL guesses.
    const LARGER_GROUPS: f64 = 1.5;
    let groups = groups.clamp(1.0, input.rows.max(1.0));
    let read = (input.total_cost - input.startup_cost) / groups;
    let group = Estimate {
        startup_cost: 0.0,
        total_cost: 0.0,
        rows: LARGER_GROUPS * input.rows / groups,
        width: input.width,
    };
    let one = sort(settings, group, None);
    let comparison = COMPARISON_COST * settings.cpu_operator_cost;
    let startup = input.startup_cost + read + one.startup_cost;
    let others = (groups - 1.0) * (one.total_cost + read);
    let total = startup + one.total_cost - one.startup_cost
        + others
        + (settings.cpu_tuple_cost + comparison) * input.rows
        + 2.0 * settings.cpu_tuple_cost * groups;
    Estimate { startup_cost: startup, total_cost: total, ..input }
}

/// The rows of several sorted inputs, merged.
pub(crate) fn merge_append(settings: &PlannerSettings, inputs: &[Estimate], width: u32) -> Estimate {
    let total = |part: fn(&Estimate) -> f64| inputs.iter().map(part).sum::<f64>();
    let rows = total(|input| input.rows);
    let streams = (inputs.len() as f64).max(2.0).log2();
    let comparison = COMPARISON_COST * settings.cpu_operator_cost;
    let startup_cost = total(|input| input.startup_cost) + comparison * inputs.len() as f64 * streams;
    let run = total(|input| input.total_cost - input.startup_cost)
        + comparison * rows * streams
        + settings.cpu_tuple_cost * 0.5 * rows;
    Estimate { startup_cost, total_cost: startup_cost + run, rows, width }
}

/// What it takes to get the first `wanted` rows.
pub(crate) fn fraction(estimate: Estimate, wanted: Option<f64>) -> f64 {
    match wanted {
        Some(wanted) if wanted < estimate.rows => {
            let run = estimate.total_cost - estimate.startup_cost;
            estimate.startup_cost + run * wanted / estimate.rows.max(1.0)
        }
        _ => estimate.total_cost,
    }
}

/// Start-up and total cost of a hash join.
pub(crate) fn hash_join(
    settings: &PlannerSettings,
    outer: Estimate,
    inner: Estimate,
    keys: usize,
    candidates: f64,
    rows: f64,
) -> (f64, f64) {
    let keys = keys as f64;
    let startup = outer.startup_cost
        + inner.total_cost
        + (settings.cpu_operator_cost * keys + settings.cpu_tuple_cost) * inner.rows;
    let mut run = outer.total_cost - outer.startup_cost + settings.cpu_operator_cost * keys * outer.rows;
    let bytes = inner.rows * f64::from(inner.width + 24);
    if bytes > settings.hash_mem_bytes {
        let pages = (bytes / 8192.0).ceil() + (outer.rows * f64::from(outer.width + 24) / 8192.0).ceil();
        run += 2.0 * pages * settings.seq_page_cost;
    }
    run += settings.cpu_operator_cost * keys * candidates * 0.5 + settings.cpu_tuple_cost * rows;
    (startup, startup + run)
}

/// Start-up and total cost of a nested loop whose inner side costs `rescan` each time after the first.
pub(crate) fn nested_loop(
    settings: &PlannerSettings,
    outer: Estimate,
    inner: Estimate,
    rescan: f64,
    qual_cost: f64,
    rows: f64,
) -> (f64, f64) {
    let startup = outer.startup_cost + inner.startup_cost;
    let mut run = outer.total_cost - outer.startup_cost + inner.total_cost - inner.startup_cost;
    run += (outer.rows - 1.0).max(0.0) * rescan;
    let pairs = outer.rows * inner.rows;
    run += (settings.cpu_tuple_cost + qual_cost) * pairs.max(rows);
    (startup, startup + run)
}

/// What each of many runs of an input costs whose rows are kept by so many different values that they depend on.
pub(crate) fn memoize(settings: &PlannerSettings, input: Estimate, calls: f64, distinct: f64) -> (f64, f64) {
    /// Bytes that an entry takes beside its rows.
    const ENTRY_BYTES: f64 = 200.0;
    let calls = calls.max(1.0);
    let distinct = distinct.clamp(1.0, calls);
    let entry = input.rows * f64::from(input.width + 24) + ENTRY_BYTES;
    let room = (settings.hash_mem_bytes / entry).floor().max(1.0);
    let evicted = 1.0 - room.min(distinct) / distinct;
    let hits = ((calls - distinct) / calls * (room / room.max(distinct))).max(0.0);
    let kept = settings.cpu_tuple_cost + settings.cpu_operator_cost * (1.0 + input.rows * (1.0 + evicted));
    (input.startup_cost * (1.0 - hits) + settings.cpu_tuple_cost, input.total_cost * (1.0 - hits) + kept)
}

/// Start-up and total cost of a merge join of sorted inputs.
pub(crate) fn merge_join(
    settings: &PlannerSettings,
    outer: Estimate,
    inner: Estimate,
    keys: usize,
    rows: f64,
) -> (f64, f64) {
    let startup = outer.startup_cost + inner.startup_cost;
    let run = outer.total_cost - outer.startup_cost + inner.total_cost - inner.startup_cost
        + settings.cpu_operator_cost * keys as f64 * (outer.rows + inner.rows)
        + settings.cpu_tuple_cost * rows;
    (startup, startup + run)
}

/// Cost of grouping.
pub(crate) fn aggregate(
    settings: &PlannerSettings,
    input: Estimate,
    keys: usize,
    aggregates: usize,
    groups: f64,
    hashed: bool,
    width: u32,
) -> Estimate {
    let per_row = settings.cpu_operator_cost * (keys as f64 + aggregates as f64);
    let finish = settings.cpu_tuple_cost * groups + settings.cpu_operator_cost * aggregates as f64 * groups;
    let total = input.total_cost + per_row * input.rows + finish;
    let startup = if keys == 0 {
        input.total_cost + per_row * input.rows
    } else if hashed {
        let mut startup = input.total_cost + per_row * input.rows;
        if groups * f64::from(width + 48) > settings.hash_mem_bytes {
            startup += 2.0 * (input.rows * f64::from(input.width) / 8192.0) * settings.seq_page_cost;
        }
        startup
    } else {
        input.startup_cost
    };
    Estimate { startup_cost: startup, total_cost: total.max(startup), rows: groups, width }
}
