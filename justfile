# Index of commands. `just` lists them.

default:
    @just --list

# Everything that gates.
test:
    cargo test --workspace

# Formatting and lints, warnings denied.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings

# One sqllogictest file, by part of its name.
slt name:
    OCHRE_SLT={{name}} cargo test -p ochre-engine --test slt

# Records the expectations of tests/slt/*.sql from a running PostgreSQL (PGHOST, PGPORT …).
slt-record:
    python3 tests/slt/record.py

# The server, on ./ochre-data.
serve:
    cargo run --release -- serve

# The parser's benchmark.
bench-parser:
    cargo bench -p ochre-parser

# Changed statements against the parser for so many seconds.
fuzz-parser seconds="600":
    OCHRE_FUZZ_SECONDS={{seconds}} cargo test -p ochre-parser --test mutations -- --nocapture

# Random and changed input for so many seconds each: messages, clients, COPY data, statements, pages and log records.
fuzz seconds="120":
    OCHRE_FUZZ_SECONDS={{seconds}} cargo test -p ochre-pgwire --test mutations -- --nocapture
    OCHRE_FUZZ_SECONDS={{seconds}} cargo test -p ochre-server --test hostile_clients broken -- --nocapture
    OCHRE_FUZZ_SECONDS={{seconds}} cargo test -p ochre-engine --test copy_mutations --test random_statements -- --nocapture
    OCHRE_FUZZ_SECONDS={{seconds}} cargo test -p ochre-torture --test undetected_damage -- --nocapture

# The parser's trees against PostgreSQL's own parser; needs libclang.
parser-differential:
    cargo run --release --manifest-path tools/parser-differential/Cargo.toml

# Indexes and sorting.
bench-access:
    cargo bench -p ochre-access

# COPY, index builds and changes of every row on the server that PGHOST and PGPORT name.
bench-bulk rows="1000000":
    tools/bench/bulk.sh {{rows}}

# A 4 GiB table under shared_buffers = 64MB, in a directory with 25 GB of room.
bench-beyond-memory directory:
    tools/bench/beyond-memory.sh target/release/ochre {{directory}}

# The real server killed under load, so many times.
kill rounds="1000":
    TEST_KILL_ROUNDS={{rounds}} cargo test -p ochre-cli --test kill -- --nocapture

# Simulated crashes: seeds from one on, for so many minutes.
torture seed="1" minutes="10":
    cargo run --release -- torture --seed {{seed}} --minutes {{minutes}}
