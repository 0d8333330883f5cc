//! Compiles the few C functions that fill ipsec-mb's jobs.

use std::process::Command;

fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    for (program, args) in [
        ("cc", vec!["-O2", "-Wall", "-c", "shim.c", "-o"]),
        ("ar", vec!["rcs"]),
    ] {
        let archive = format!("{out}/libshim.a");
        let object = format!("{out}/shim.o");
        let files = match program {
            "cc" => vec![object],
            _ => vec![archive, object],
        };
        let status = Command::new(program).args(&args).args(&files).status();
        let built = status.is_ok_and(|status| status.success());
        assert!(built, "{program} failed: is libipsec-mb-dev installed?");
    }
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static=shim");
    println!("cargo:rustc-link-lib=dylib=IPSec_MB");
    println!("cargo:rerun-if-changed=shim.c");
}
