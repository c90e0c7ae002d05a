//! Nothing: a package has to have a build script for its build dependencies to count.
fn main() {}
