//! Debian and Ubuntu: installing packages, or unpacking them below `target/` where that is not allowed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{output, run, succeeds, target};

/// A Rust new enough, its sources, and what links WebAssembly. `lld-22` is added in the version that they use.
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "wasi-libc"];

/// Installs the packages that build WebAssembly, where they are not yet, and says below which directory they are.
///
/// # Errors
/// Not Debian, not allowed, or apt-get's failure.
pub fn install() -> Result<PathBuf> {
    let mut packages = PACKAGES.map(str::to_owned).to_vec();
    if !are_installed(&packages) {
        install_packages(&packages)?;
    }
    packages.push(linker(&[])?);
    if !are_installed(&packages) {
        install_packages(&packages)?;
    }
    Ok(PathBuf::from("/"))
}

/// Installs these packages as root or with sudo; removes none.
///
/// # Errors
/// Not Debian, not allowed, or apt-get's failure.
pub fn install_packages(packages: &[String]) -> Result<()> {
    let apt_get = || -> Result<Command> {
        let mut command = Command::new("env");
        if output(Command::new("id").arg("-u"))?.trim() != "0" {
            if !succeeds(Command::new("sudo").args(["-n", "true"])) {
                bail!("neither root nor sudo without a password");
            }
            command = Command::new("sudo");
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        Ok(command)
    };
    has_apt()?;
    let install = || -> Result<()> {
        run(apt_get()?.args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(packages))
    };
    // A fresh machine has no list of packages, and an old list may name versions that are gone.
    install().or_else(|_| {
        run(apt_get()?.arg("update"))?;
        install()
    })
}

/// Unpacks the packages below `target/debian`, with what they need and the system lacks, and says where.
///
/// # Errors
/// Not Debian, or apt-get's failure.
pub fn unpack() -> Result<PathBuf> {
    has_apt()?;
    let home = target("debian");
    let (root, complete) = (home.join("root"), home.join("complete"));
    if complete.exists() {
        return Ok(root);
    }
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    for directory in ["lists/partial", "cache/archives/partial", "debs", "root"] {
        fs::create_dir_all(home.join(directory))?;
    }
    // Lists, cache and (empty) status of our own: nothing here needs root, a lock or an up-to-date system.
    fs::write(home.join("status"), "")?;
    let options: Vec<String> =
        [("Dir::State::lists", "lists"), ("Dir::State::status", "status"), ("Dir::Cache", "cache")]
            .iter()
            .flat_map(|(key, path)| ["-o".to_owned(), format!("{key}={}", home.join(path).display())])
            .chain(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="].map(str::to_owned))
            .collect();
    let apt = |program: &str| {
        let mut command = Command::new(program);
        command.args(&options).current_dir(home.join("debs"));
        command
    };
    run(apt("apt-get").args(["update", "--quiet"]))?;
    let plan = output(
        apt("apt-get")
            .args(["install", "--simulate", "--no-install-recommends"])
            .args(PACKAGES)
            .arg(linker(&options)?),
    )?;
    let query = ["--show", "--showformat=${Package} ${db:Status-Status}\n"];
    let installed = output(Command::new("dpkg-query").args(query))?;
    run(apt("apt-get").args(["download", "--quiet"]).args(missing(&plan, &installed)))?;
    for deb in fs::read_dir(home.join("debs"))? {
        output(Command::new("dpkg-deb").arg("--extract").arg(deb?.path()).arg(&root))?;
    }
    for used_up in ["debs", "cache", "lists"] {
        fs::remove_dir_all(home.join(used_up))?;
    }
    fs::write(&complete, "")?;
    Ok(root)
}

/// The search path for shared libraries that lie below `packages`; none where they are installed.
pub fn libraries(packages: &Path) -> Option<OsString> {
    if packages == Path::new("/") {
        return None;
    }
    let triplets = fs::read_dir(packages.join("usr/lib")).ok()?;
    let directories = triplets
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    env::join_paths(directories).ok()
}

fn has_apt() -> Result<()> {
    if !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("there is no apt-get");
    }
    Ok(())
}

fn are_installed(packages: &[String]) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}\n"]).args(packages);
    query.output().is_ok_and(|output| {
        output.status.success()
            && output.stdout.split(|&b| b == b'\n').all(|s| matches!(s, b"installed" | b""))
    })
}

/// The linker's package, of the LLVM that rust-web-llvm uses (`llvm-22` when this was written).
fn linker(options: &[String]) -> Result<String> {
    let depends = output(Command::new("apt-cache").args(options).args(["depends", "rust-web-llvm"]))?;
    let version = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: llvm-"));
    Ok(format!("lld-{}", version.unwrap_or("22")))
}

/// The packages of apt-get's plan for an empty system that this system lacks, and those of the toolchain whether it
/// lacks them or not, because these must lie together below one root.
fn missing<'a>(plan: &'a str, installed: &str) -> Vec<&'a str> {
    const TOOLCHAIN: [&str; 5] = ["rust", "cargo-web", "libstd-rust-", "lld-", "wasi-libc"];
    let installed: Vec<&str> = installed.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    plan.lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .filter(|name| !installed.contains(name) || TOOLCHAIN.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_not_downloaded() {
        let plan = "Reading…\nInst libc6 (2 Debian)\nInst rustc-web (1 Debian)\nInst libllvm22 (1)\nConf libc6 (2)\n";
        let installed = "libc6 installed\nrustc-web installed\nlibllvm22 config-files\n";
        assert_eq!(missing(plan, installed), ["rustc-web", "libllvm22"]);
    }
}
