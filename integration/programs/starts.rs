//! Starts `probe` in each way that Rust's standard library has, named on the command line.
//! Compiled by the tests' build script as most people's programs are: linked dynamically.

use std::{
    env,
    io::{Write, stdout},
    os::unix::process::CommandExt,
    process::Command,
};

fn main() {
    for way in env::args().skip(1) {
        println!("{way}");
        stdout().flush().unwrap();
        let mut probe = Command::new("probe");
        probe.arg(&way);
        match way.as_str() {
            "rust-posix_spawn" => {}
            // A closure to run in the child rules posix_spawn out: fork and exec.
            "rust-fork" => {
                unsafe { probe.pre_exec(|| Ok(())) };
            }
            "rust-env_clear" => {
                probe.env_clear().env("PATH", env::var_os("PATH").unwrap());
            }
            "rust-current_dir" => {
                probe.current_dir("/");
            }
            "rust-exit_status" => {
                probe.arg("7");
            }
            "rust-exec" => panic!("{}", probe.exec()),
            unknown => panic!("no such way: {unknown}"),
        }
        println!("{}", probe.status().unwrap());
    }
}
