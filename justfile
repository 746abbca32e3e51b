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
