//! The program finds libscout.so where scout-sys found it.
fn main() {
    println!("cargo:rerun-if-env-changed=DEP_SCOUT_LIB_DIR");
    if let Ok(folder) = std::env::var("DEP_SCOUT_LIB_DIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
