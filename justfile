# The project's steps by name, for a person. `just` lists them.

default:
    @just --list

# everything that CI checks
ci:
    .ci/run

# format, lint and test one crate quickly: `just check thalweg-nets`
check crate:
    cargo fmt
    cargo clippy -p {{crate}} --all-targets -- -D warnings
    cargo nextest run -p {{crate}}

# every command line that the help, README.md and the program itself show
examples:
    cargo test -p thalweg-cli --test examples

# benchmarks with PyTorch beside them on the same cores; needs a Python with torch (PYTHON=…)
bench:
    benches/run

# the whole way on the embedded digits, into thalweg-demo/
demo:
    cargo run --release -- demo --force

# real data into a folder (then export THALWEG_DATA=that folder)
data dest:
    THALWEG_DATA={{dest}} cargo run --release -- data get --all
