//! The `curfew` program. Everything it does is in the library.

fn main() -> std::process::ExitCode {
    curfew_cli::run::main(std::env::args_os()).into()
}
