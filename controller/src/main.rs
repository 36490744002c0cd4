//! The controller's program; everything is in the library.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Thousands of connections allocate and free on every core: a tenth less memory and a fifth less CPU than with glibc's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    curfew_controller::commands::main()
}
