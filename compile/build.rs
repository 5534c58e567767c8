//! Tells the crate for which machine it is compiled, and that it compiles for.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Without our prefix: cargo sets it for what it runs too, where the prefix stands for a key of the configuration.
    println!("cargo::rustc-env=COMPILED_FOR={}", std::env::var("TARGET").unwrap_or_default());
}
