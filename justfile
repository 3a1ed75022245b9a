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

# The parser's trees against PostgreSQL's own parser; needs libclang.
parser-differential:
    cargo run --release --manifest-path tools/parser-differential/Cargo.toml

# Indexes and sorting.
bench-access:
    cargo bench -p ochre-access
