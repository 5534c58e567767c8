//! From the component to machine code that the host runs, in a crate of its own: the host carries the machine code, so that what
//! makes it has to be there before the host is compiled.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use wasmtime::{Config, Engine};

/// What the machine code depends on: the same for compiling and for running.
#[must_use]
pub fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // WASI 0.2 has no use for it, and a call is cheaper without.
        .concurrency_support(false);
    config
}

/// How hard machine code is packed, which is a third as large then. Higher levels take long and gain little.
const LEVEL: i32 = 6;

/// What zstd's format begins with (RFC 8878 section 3.1.1).
const PACKED: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// More machine code than this, in bytes, no component of ours comes to.
const LARGEST: usize = 256 << 20;

/// The machine code in what [`compile`] has written; anything else is as it is.
///
/// # Errors
/// What is packed is damaged.
pub fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if bytes.starts_with(&PACKED) {
        return Ok(Cow::Owned(zstd::bulk::decompress(bytes, LARGEST)?));
    }
    Ok(Cow::Borrowed(bytes))
}

/// How many bytes of machine code are in what [`compile`] has written; none in anything else.
#[must_use]
pub fn unpacked_size(bytes: &[u8]) -> Option<usize> {
    let packed = Some(bytes).filter(|bytes| bytes.starts_with(&PACKED))?;
    zstd::bulk::Decompressor::upper_bound(packed).filter(|size| *size <= LARGEST)
}

/// As [`unpack`], into memory of the caller's, of [`unpacked_size`]: how much of it is filled.
///
/// # Errors
/// What is packed is damaged, or there is no room for it.
pub fn unpack_into(bytes: &[u8], room: &mut [u8]) -> Result<usize> {
    Ok(zstd::bulk::decompress_to_buffer(bytes, room)?)
}

/// Compiles a component for any machine of this kind, and packs it: the processor's extensions are not used, as another may lack them.
///
/// # Errors
/// One sentence on which file is wrong.
pub fn compile(input: &Path, output: &Path) -> Result<()> {
    let bytes = fs::read(input).with_context(|| format!("{} cannot be read", input.display()))?;
    let mut config = settings();
    config
        .target(env!("COMPILED_FOR"))
        .map_err(|error| anyhow!("wasmtime does not compile for this machine: {error:#}"))?;
    let compiled = Engine::new(&config)
        .and_then(|engine| engine.precompile_component(&bytes))
        .map_err(|error| anyhow!("{} cannot be compiled: {error:#}", input.display()))?;
    let packed = zstd::bulk::compress(&compiled, LEVEL)
        .with_context(|| format!("{} cannot be packed", input.display()))?;
    fs::write(output, packed).with_context(|| format!("{} cannot be written", output.display()))
}

#[cfg(test)]
mod tests {
    use super::{LEVEL, unpack, unpack_into, unpacked_size};

    #[test]
    fn what_is_packed_comes_back_and_what_is_damaged_does_not() {
        let code = b"machine code ".repeat(1_000);
        let packed = zstd::bulk::compress(&code, LEVEL).expect("packed");
        assert!(packed.len() < code.len());
        assert_eq!(unpack(&packed).expect("whole"), code.as_slice());
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
        let mut room = vec![0; code.len()];
        assert_eq!(unpacked_size(&packed), Some(code.len()));
        assert_eq!(unpack_into(&packed, &mut room).expect("whole"), code.len());
        assert_eq!(room, code);
        assert!(unpack_into(&packed, &mut room[1..]).is_err());
        // One that says of itself that it is 1 TiB large.
        let mut large = packed.clone();
        large.splice(4..7, [0b1110_0000, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert!(unpack(&large).is_err());
        assert_eq!(unpacked_size(&large), None);
        for other in [&b"\0asm\x0d\0\x01\0"[..], b"\x7fELF", b""] {
            assert_eq!(unpack(other).expect("as it is"), other);
            assert_eq!(unpacked_size(other), None);
        }
    }
}
