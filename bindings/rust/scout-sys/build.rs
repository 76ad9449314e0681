//! Links libscout. Its folder is SCOUT_LIB_DIR, or else what `pkg-config` says of `scout`, or else
//! where the linker looks by itself. A program that depends on this crate finds the folder in
//! DEP_SCOUT_LIB_DIR of its own build script (../ask/build.rs): an rpath reaches no further than here.
use std::{env, process::Command};

fn from_pkg_config() -> Option<String> {
    let out = Command::new("pkg-config").args(["--variable=libdir", "scout"]).output().ok()?;
    let folder = String::from_utf8(out.stdout).ok()?.trim().to_string();
    (out.status.success() && !folder.is_empty()).then_some(folder)
}

fn main() {
    for name in ["SCOUT_LIB_DIR", "PKG_CONFIG_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if let Some(folder) = env::var("SCOUT_LIB_DIR").ok().or_else(from_pkg_config) {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
        println!("cargo:lib_dir={folder}");
    }
    println!("cargo:rustc-link-lib=dylib=scout");
}
