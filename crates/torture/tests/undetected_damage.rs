//! Bytes on disk that are wrong though their checksum is right: pages, log records and the control file are changed, and
//! get the checksum that the change asks for. Whoever reads them may find them damaged or believe them; nothing panics,
//! runs in a circle, or says that it was our fault.
//!
//! Short by default; `OCHRE_FUZZ_SECONDS` and `OCHRE_FUZZ_SEED` say otherwise.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ochre_base::limits::PAGE_SIZE;
use ochre_fuzzing::{Campaign, Random};
use ochre_storage::{Page, inspect};
use ochre_torture::machine::{Machine, ROOT, path};
use ochre_torture::samples::{Sample, Tried, read, sample, try_out};

/// No input takes so long on any machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Bytes that are written over others.
type Change = (usize, Vec<u8>);

/// One to three changes between `from` and `to`.
fn changes(random: &mut Random, from: usize, to: usize) -> Vec<Change> {
    let count = 1 + random.below(3);
    (0..count)
        .map(|_| {
            let at = from + random.below(to - from);
            let bytes = match random.below(6) {
                0 | 1 => vec![random.below(256) as u8],
                2 => vec![*random.pick(&[0, 1, 0x7f, 0x80, 0xff])],
                3 => (random.below(1 << 14) as u16).to_le_bytes().to_vec(),
                4 => vec![*random.pick(&[0, 0xff]); 1 + random.below(8)],
                _ => (random.below(400) as u32).to_le_bytes().to_vec(),
            };
            (at, bytes)
        })
        .collect()
}

fn apply(changes: &[Change], bytes: &mut [u8]) {
    for (at, change) in changes {
        for (place, byte) in bytes[*at..].iter_mut().zip(change) {
            *place = *byte;
        }
    }
}

/// Ends the process when an input takes for ever, and says which one.
struct Watch(Mutex<Option<(Instant, String)>>);

impl Watch {
    fn new() -> &'static Watch {
        let watch: &'static Watch = Box::leak(Box::new(Watch(Mutex::new(None))));
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                if let Some((since, input)) = &*watch.0.lock().unwrap()
                    && since.elapsed() > PATIENCE
                {
                    eprintln!("runs for ever: {input}");
                    std::process::abort();
                }
            }
        });
        watch
    }

    fn during<R>(&self, input: &dyn std::fmt::Debug, run: impl FnOnce() -> R) -> R {
        *self.0.lock().unwrap() = Some((Instant::now(), format!("{input:?}")));
        let result = run();
        *self.0.lock().unwrap() = None;
        result
    }
}

#[derive(Debug, Default)]
struct Sum {
    noticed: u64,
    refused: u64,
    corrupt: u64,
}

impl Sum {
    fn add(&mut self, tried: Tried) {
        self.noticed += u64::from(tried.problems > 0 || tried.refused || tried.corrupt > 0);
        self.refused += u64::from(tried.refused);
        self.corrupt += u64::from(tried.corrupt > 0);
    }
}

/// Makes changes of a sample, and tries out what comes of it.
fn run<I: std::fmt::Debug>(
    usual: u64,
    mut make: impl FnMut(&mut Random, &Sample) -> I,
    damage: impl Fn(&Sample, &Machine, &I),
) {
    let samples = [sample(true), sample(false)];
    let watch = Watch::new();
    let mut sum = Sum::default();
    Campaign::new(usual).run(
        |random| {
            let which = random.below(2);
            (which, make(random, &samples[which]))
        },
        |(which, input)| {
            let sample = &samples[*which];
            let machine = sample.copy();
            damage(sample, &machine, input);
            let tried = watch.during(input, || try_out(&machine));
            sum.add(tried.unwrap_or_else(|what| panic!("{what}")));
        },
    );
    println!("{sum:?}");
    assert!(sum.noticed > 0, "{sum:?}");
}

#[test]
fn pages() {
    #[derive(Debug)]
    struct Input {
        file: PathBuf,
        block: u32,
        changes: Vec<Change>,
    }
    let samples = [sample(true), sample(false)];
    let [first, second] = samples.each_ref().map(|sample| sample.pages("base"));
    // Where a page has its structure, and anywhere.
    let make = |random: &mut Random, sample: &Sample| {
        let pages = if sample.records.len() == samples[0].records.len() { &first } else { &second };
        let (file, block) = random.pick(pages).clone();
        let (from, to) = *random.pick(&[(0, 64), (12, 120), (24, 800), (4000, PAGE_SIZE), (0, PAGE_SIZE)]);
        Input { file, block, changes: changes(random, from, to) }
    };
    run(150, make, |_, machine, input| {
        let offset = u64::from(input.block) * PAGE_SIZE as u64;
        let mut page = Page::zeroed();
        read(machine, &input.file, offset, page.bytes_mut()).unwrap();
        apply(&input.changes, page.bytes_mut());
        let (_, key) = inspect::page_of_file(&input.file, input.block).unwrap();
        page.seal(key);
        machine.fs.damage(&input.file, offset, |bytes| bytes.copy_from_slice(page.bytes()), PAGE_SIZE);
    });
}

#[test]
fn log_records() {
    #[derive(Debug)]
    struct Input {
        record: usize,
        changes: Vec<Change>,
    }
    let make = |random: &mut Random, sample: &Sample| {
        let record = random.below(sample.records.len());
        let length = sample.records[record].1;
        // Not the length, the checksum and the position, and rather the fields than what follows them.
        let to = if random.below(2) == 0 { length.min(120) } else { length };
        Input { record, changes: changes(random, 16, to) }
    };
    run(60, make, |sample, machine, input| {
        let (start, length) = sample.records[input.record];
        let mut bytes = vec![0; length];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let (file, offset) = sample.log_file(start.0 + i as u64);
            read(machine, &file, offset, std::slice::from_mut(byte)).unwrap();
        }
        apply(&input.changes, &mut bytes);
        inspect::reseal_record(&machine.env(), Path::new(ROOT), &mut bytes).unwrap();
        for (i, byte) in bytes.iter().enumerate() {
            let (file, offset) = sample.log_file(start.0 + i as u64);
            machine.fs.damage(&file, offset, |place| place[0] = *byte, 1);
        }
    });
}

#[test]
fn the_control_file() {
    /// Bytes of a copy, the last four of which are its checksum; a copy begins at each multiple of the distance.
    const COPY_BYTES: usize = 76;
    const DISTANCE: u64 = 4096;
    let make = |random: &mut Random, _: &Sample| changes(random, 8, COPY_BYTES - 4);
    run(60, make, |_, machine, changes| {
        for copy in 0..2 {
            machine.fs.damage(
                &path("CURRENT"),
                copy * DISTANCE,
                |bytes| {
                    apply(changes, bytes);
                    let (body, crc) = bytes.split_at_mut(COPY_BYTES - 4);
                    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
                },
                COPY_BYTES,
            );
        }
    });
}
