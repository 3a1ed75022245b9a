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

# Indexes and sorting.
bench-access:
    cargo bench -p ochre-access
