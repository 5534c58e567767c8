//! `cargo xtask dist`: what a release holds, in `target/dist/release`, and the files of the container image, in `target/dist/image`.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::debian::install_packages;
use crate::python::python;
use crate::shell::{cargo, host_triple, once, output, root, run, succeeds, target};
use crate::wasm::Wasm;

/// The most that the image may hold, in bytes.
const LARGEST_IMAGE: u64 = 30_000_000;

/// What writes the list of parts (SBOM), from crates.io.
const SBOM: (&str, &str) = ("cargo-sbom", "0.10.0");

/// Shells, and what the file is called that completes words in them.
const SHELLS: [(&str, &str); 4] = [
    ("bash", "sqlitrest.bash"),
    ("zsh", "_sqlitrest"),
    ("fish", "sqlitrest.fish"),
    ("powershell", "_sqlitrest.ps1"),
];

/// Files of the repository that go into the archive, beside the binary.
const FILES: [&str; 6] = [
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "CHANGELOG.md",
    "examples/sqlitrest.toml",
    "deploy/systemd/sqlitrest.service",
];

/// How the server is linked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// With the C library of the machine that builds it.
    Here,
    /// With everything inside (musl), so that it runs on any Linux and in an empty image.
    Static,
}

/// Builds what is shipped, and leaves the release and the files of the image. Takes minutes.
///
/// # Errors
/// What the compilers and other programs say; an image that is too large.
pub fn dist(wasm: &Wasm, linked: Linked) -> Result<()> {
    let triple = triple(linked)?;
    build::machine_code(wasm, &build::SERVER)?;
    let server = server(&triple, linked)?;
    let release = target("dist/release");
    empty(&release)?;
    pack(&server, &triple, &release)?;
    sbom(&triple, &release)?;
    sums(&release)?;
    if linked == Linked::Static {
        let size = image(&server, &release, &target("dist/image"))?;
        eprintln!("image: {} KB of {} KB", size / 1000, LARGEST_IMAGE / 1000);
        if size > LARGEST_IMAGE {
            bail!("the image holds {size} bytes, which are more than {LARGEST_IMAGE}");
        }
    }
    eprintln!("built {} and {}", server.display(), release.display());
    Ok(())
}

/// What it is built for, in Rust's words.
fn triple(linked: Linked) -> Result<String> {
    let host = host_triple()?;
    match linked {
        Linked::Here => Ok(host),
        Linked::Static if cfg!(target_os = "linux") => {
            Ok(format!("{}-unknown-linux-musl", env::consts::ARCH))
        }
        Linked::Static => {
            bail!("what is linked statically is for Linux, and {host} is not; see `cargo xtask dist`")
        }
    }
}

/// Builds the server, small and fast, and says where it is.
fn server(triple: &str, linked: Linked) -> Result<PathBuf> {
    let mut cargo_build = cargo();
    build::with_component(&mut cargo_build).args([
        "build",
        "--locked",
        "--profile",
        "dist",
        "--package",
        "sqlitrest",
    ]);
    let mut built = target("dist");
    if linked == Linked::Static {
        need_musl(triple)?;
        cargo_build.args(["--target", triple]);
        built = target(triple).join("dist");
    }
    run(&mut cargo_build)?;
    let server = built.join(format!("sqlitrest{}", env::consts::EXE_SUFFIX));
    let size = fs::metadata(&server).with_context(|| server.display().to_string())?.len();
    eprintln!("built {}: {} KB", server.display(), size / 1024);
    Ok(server)
}

/// Rust's part of the target, and a compiler for what is C.
fn need_musl(triple: &str) -> Result<()> {
    run(Command::new("rustup").args(["target", "add", triple]).current_dir(root()))
        .with_context(|| format!("the target {triple} is needed"))?;
    if succeeds(Command::new("musl-gcc").arg("--version")) {
        return Ok(());
    }
    install_packages(&["musl-tools".to_owned()]).context("musl-gcc is needed, of Debian's musl-tools")
}

/// Puts the archive of the server, the component and what says whose code is in them into a directory.
///
/// # Errors
/// What `tar`, cargo and the server say; of files.
pub fn pack(server: &Path, triple: &str, to: &Path) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("sqlitrest-{version}-{triple}");
    let folder = to.join(&name);
    fs::create_dir_all(folder.join("completions"))?;
    place(server, &folder.join("sqlitrest"), 0o755)?;
    for (shell, file) in SHELLS {
        let words = output(Command::new(server).args(["completions", shell]))?;
        fs::write(folder.join("completions").join(file), words)?;
    }
    for file in FILES {
        let from = root().join(file);
        place(&from, &folder.join(from.file_name().unwrap_or_default()), 0o644)?;
    }
    let notices = notices(triple)?;
    fs::write(folder.join("THIRD-PARTY.txt"), &notices)?;
    fs::write(to.join("THIRD-PARTY.txt"), notices)?;
    // The same files make the same archive.
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=u+rw,go-w"]);
    run(tar.args(["-czf", &format!("{name}.tar.gz"), &name]).current_dir(to))?;
    fs::remove_dir_all(&folder)?;
    place(&build::component(), &to.join(format!("sqlitrest-guest-{version}.wasm")), 0o644)
}

/// Whose code is in the server and in the component, and on which terms.
fn notices(triple: &str) -> Result<String> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", triple]);
    let metadata = output(&mut metadata)?;
    let mut script = python(include_str!("notices.py"))?;
    script.args([triple, "sqlitrest", "sqlitrest-guest"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().context("cannot start python3")?;
    // It reads all before it writes anything.
    child.stdin.take().context("python3 has no input")?.write_all(metadata.as_bytes())?;
    let ended = child.wait_with_output()?;
    if !ended.status.success() {
        bail!("notices.py: {}", ended.status);
    }
    Ok(String::from_utf8(ended.stdout)?)
}

/// Writes the list of the server's parts (CycloneDX).
fn sbom(triple: &str, to: &Path) -> Result<()> {
    let (tool, version) = SBOM;
    let home = target("tools");
    once(&home.join(tool), version, || {
        let mut install = cargo();
        install.args(["install", tool, "--version", version, "--locked", "--root"]).arg(&home);
        run(&mut install)
    })?;
    let mut list = Command::new(home.join("bin").join(tool));
    list.args(["sbom", "--cargo-package", "sqlitrest", "--output-format", "cyclone_dx_json_1_6"]);
    let list = output(list.current_dir(root()))?;
    fs::write(to.join(format!("sqlitrest-{}-{triple}.cdx.json", env!("CARGO_PKG_VERSION"))), list)?;
    Ok(())
}

/// Writes the checksums of all files of a directory, as `sha256sum --check` reads them.
///
/// # Errors
/// What `sha256sum` says; of files.
pub fn sums(directory: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name());
    }
    names.sort();
    let sums = output(Command::new("sha256sum").args(&names).current_dir(directory))?;
    fs::write(directory.join("SHA256SUMS"), sums)?;
    Ok(())
}

/// Makes the root file system of the image, of a server that needs nothing else, and says how many bytes its files have. The
/// Dockerfile copies it as it is.
///
/// # Errors
/// Of files.
pub fn image(server: &Path, release: &Path, to: &Path) -> Result<u64> {
    empty(to)?;
    let documents = to.join("usr/share/doc/sqlitrest");
    for directory in ["data", "etc/sqlitrest", "tmp", "usr/bin", "usr/share/doc/sqlitrest"] {
        fs::create_dir_all(to.join(directory))?;
    }
    set_mode(&to.join("tmp"), 0o1777)?;
    place(server, &to.join("usr/bin/sqlitrest"), 0o755)?;
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        place(&root().join(license), &documents.join(license), 0o644)?;
    }
    place(&release.join("THIRD-PARTY.txt"), &documents.join("THIRD-PARTY.txt"), 0o644)?;
    size(to)
}

/// How many bytes the files below a directory have.
fn size(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Copies a file, with this mode.
fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    set_mode(to, mode)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(|| path.display().to_string())
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> Result<()> {
    Ok(())
}

/// Makes a directory anew, with nothing in it.
///
/// # Errors
/// Of files.
pub fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())
}
