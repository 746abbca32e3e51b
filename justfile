# The very commands that `tests/run` and continuous integration run.

# everything
default:
    tests/run

fmt-check:
    cargo fmt --all --check

clippy:
    cargo clippy --profile ci --locked --all-targets -- -D warnings

test:
    cargo test --profile ci --locked --no-fail-fast

deny:
    cargo deny --locked check

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --profile ci --locked --no-deps --document-private-items

# the tests with a browser and apps that nobody here wrote
real:
    tests/run install build real

# a fuzz target of fuzz/targets under libFuzzer (nightly and cargo-fuzz); finds go to fuzz/found
fuzz target="head" seconds="600":
    mkdir -p fuzz/found/{{target}}
    cargo +nightly fuzz run {{target}} fuzz/found/{{target}} fuzz/corpus/{{target}} -- -max_total_time={{seconds}}

# the long form of tests/it/million_heads.rs
million-heads:
    VESTIBULE_HEADS=1000000 cargo test --profile ci --locked --test it million_heads -- --nocapture

# the long form of tests/it/large_bodies.rs
large-bodies:
    VESTIBULE_BODY_MIB=5120 cargo test --profile ci --locked --test it large_bodies -- --nocapture

# the long form of tests/it/restart/socket.rs
restarts:
    VESTIBULE_RESTARTS=100 cargo test --profile ci --locked --test it restarts_under_load -- --nocapture

# what each request costs, in time and in allocations
bench topic="":
    cargo bench --profile dist --locked --bench requests -- {{topic}}
