//! What a prepared lookup by primary key costs in time and in allocations, once its plan is known:
//! `cargo bench -p ochre-engine --bench point_lookup`. `ALLOCATIONS=1` shows where one lookup allocates.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ochre_base::Result;
use ochre_engine::{CommandTag, Instance, InstanceConfig, OutputColumn, ResultFormats, Session, Sink};
use ochre_env::Env;

use ochre_types::{Batch, FormatContext};

const ROWS: u32 = 100_000;
const LOOKUPS: u32 = 200_000;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static SHOWS: Cell<bool> = const { Cell::new(false) };
}

struct Counter;

fn count(layout: Layout) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    if SHOWS.replace(false) {
        println!("{} bytes\n{}", layout.size(), std::backtrace::Backtrace::force_capture());
        SHOWS.set(true);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; what shows an allocation is not asked again by its own ones.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(layout);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counter = Counter;

/// Takes rows as a connection does: their bytes are looked at, nothing is kept.
#[derive(Default)]
struct Client {
    rows: u64,
    sum: i64,
}

impl Sink for Client {
    fn row_shape(&mut self, _columns: &Arc<[OutputColumn]>) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, batch: &Batch, _columns: &[OutputColumn], _format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            self.rows += 1;
            self.sum += batch.columns[0].datum(row).as_i64().unwrap_or_default();
        }
        Ok(())
    }

    fn complete(&mut self, _tag: CommandTag) {}

    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Ok(())
    }
}

fn look_up(session: &mut Session, id: u32, client: &mut Client) {
    let bytes = id.to_be_bytes();
    let values = std::iter::once((true, Some(&bytes[..])));
    session.bind("", "lookup", values, ResultFormats::new()).expect("binds");
    session.execute("", 0, client).expect("runs");
    session.sync(client).expect("ends");
}

fn main() {
    let instance =
        Instance::open(Env::in_memory(), Path::new("/data"), InstanceConfig::default()).expect("opens");
    let mut session = instance.session("postgres", "postgres").expect("a session");
    let mut client = Client::default();
    let setup = format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, branch int, balance int, filler char(84));
         INSERT INTO accounts SELECT i, i % 10, i, '' FROM generate_series(1, {ROWS}) i;
         ANALYZE accounts"
    );
    session.simple_query(&setup, &mut client).expect("a table");
    session.parse("lookup", "SELECT balance FROM accounts WHERE id = $1", &[]).expect("parses");
    let id = |number: u32| number.wrapping_mul(2_654_435_761) % ROWS + 1;
    (0..1000).for_each(|number| look_up(&mut session, id(number), &mut client));
    client = Client::default();
    let before = ALLOCATIONS.get();
    let began = Instant::now();
    (0..LOOKUPS).for_each(|number| look_up(&mut session, id(number), &mut client));
    let elapsed = began.elapsed();
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(client.rows, u64::from(LOOKUPS));
    println!(
        "{:.0} ns and {:.2} allocations a lookup",
        elapsed.as_nanos() as f64 / f64::from(LOOKUPS),
        allocations as f64 / f64::from(LOOKUPS)
    );
    if std::env::var_os("ALLOCATIONS").is_some() {
        SHOWS.set(true);
        look_up(&mut session, 7, &mut client);
        SHOWS.set(false);
    }
}
