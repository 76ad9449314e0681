//! Links libscout. SCOUT_LIB_DIR names the folder of libscout.so; without it the linker's own search.
use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=SCOUT_LIB_DIR");
    if let Ok(folder) = env::var("SCOUT_LIB_DIR") {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    println!("cargo:rustc-link-lib=dylib=scout");
}
