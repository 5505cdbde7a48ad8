// SPDX-License-Identifier: GPL-2.0-only
//! Generates the bindings of the kernel's uapi header with the bindgen
//! program, which the kernel's own build needs too.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

fn fail(message: &str) -> ! {
    eprintln!("beancounter: {message}");
    exit(1)
}

fn main() {
    println!("cargo::rerun-if-env-changed=BC_UAPI_DIR");
    println!("cargo::rerun-if-env-changed=BINDGEN");

    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let uapi = match env::var_os("BC_UAPI_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => manifest.join("../../build/extract/include/uapi"),
    };
    let header = uapi.join("linux/beancounter.h");
    println!("cargo::rerun-if-changed={}", header.display());
    if !header.is_file() {
        fail(&format!(
            "{} does not exist: run scripts/extract, which takes it from the patches, \
             or set BC_UAPI_DIR to the directory that holds linux/beancounter.h",
            header.display()
        ));
    }

    let out = Path::new(&env::var_os("OUT_DIR").expect("set by cargo")).join("uapi.rs");
    let bindgen = env::var_os("BINDGEN").map_or_else(|| PathBuf::from("bindgen"), PathBuf::from);
    let status = Command::new(&bindgen)
        .arg(&header)
        .args(["--allowlist-item", "BC_.*|BCID_.*|bc_limit|bc_stat"])
        .args(["--no-doc-comments", "--no-prepend-enum-name", "--use-core"])
        .args(["--rust-edition", "2021", "--with-derive-default"])
        .arg("--output")
        .arg(&out)
        .arg("--")
        .arg("-I")
        .arg(&uapi)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{}: {status}", bindgen.display())),
        Err(error) => fail(&format!(
            "cannot run {} ({error}): install bindgen or set BINDGEN to its path",
            bindgen.display()
        )),
    }
}
