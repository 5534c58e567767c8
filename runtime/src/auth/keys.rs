//! Keys as they are configured or published: plain text, base64, PEM, JWK and JWKS (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jwt_simple::algorithms::{Edwards25519PublicKey, P256PublicKey, P384PublicKey, RSAPublicKey};
use serde_json::{Map, Value as Json};

use super::config::Jwt;
use super::signature::{Algorithm, Material, SharedSecret};
use super::unique_json;

/// The fewest bytes of a secret that is plain text; a shorter one can be found by trying (RFC 7518 section 3.2).
const FEWEST: usize = 32;

/// The most keys of a set that are looked at.
const MOST_KEYS: usize = 100;

/// A key and what it may be used for.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name, where it has one.
    pub kid: Option<String>,
    /// Whether it stands for every `kid`, for it is of a kind that can have no name.
    pub any_kid: bool,
    /// The algorithms that it serves.
    pub algorithms: Vec<Algorithm>,
    /// Itself.
    pub material: Material,
}

/// The keys of `auth.jwt.secret`, for the algorithms that are pinned.
///
/// # Errors
/// In words without the secret, why there is no key.
pub fn configured(jwt: &Jwt, text: &str, pinned: Option<&[Algorithm]>) -> Result<Vec<Key>, String> {
    let trimmed = text.trim();
    let keys = if jwt.secret_is_base64 {
        let bytes = any_base64(trimmed).ok_or("it is not base64")?;
        // What base64 hides may be a JWK, too.
        match std::str::from_utf8(&bytes).ok().filter(|text| text.trim_start().starts_with('{')) {
            Some(text) => jwks(text, pinned, Source::Configuration)?,
            None => vec![secret(&bytes, pinned)?],
        }
    } else if trimmed.starts_with("-----BEGIN") {
        vec![pem(trimmed, pinned)?]
    } else if trimmed.starts_with('{') && serde_json::from_str::<Map<String, Json>>(trimmed).is_ok() {
        jwks(trimmed, pinned, Source::Configuration)?
    } else {
        vec![secret(text.trim_end_matches(['\r', '\n']).as_bytes(), pinned)?]
    };
    match keys.iter().any(|key| !key.algorithms.is_empty()) {
        true => Ok(keys),
        false => Err("it is a key of another kind than auth.jwt.algorithm wants".to_owned()),
    }
}

/// The keys of a set that was fetched. What is no key for signatures is passed over, and so are shared secrets, which are
/// nothing to publish.
///
/// # Errors
/// In words, why there is no key in it.
pub fn fetched(text: &str, pinned: Option<&[Algorithm]>) -> Result<Vec<Key>, String> {
    jwks(text, pinned, Source::Published)
}

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Configuration,
    Published,
}

fn secret(bytes: &[u8], pinned: Option<&[Algorithm]>) -> Result<Key, String> {
    if bytes.len() < FEWEST {
        return Err(format!("it is shorter than {FEWEST} bytes"));
    }
    let material = Material::Secret(SharedSecret::new(bytes));
    // As in PostgREST: a text is for HS256 unless the configuration says otherwise.
    let algorithms = allowed(&material, pinned.or(Some(&[Algorithm::HS256])));
    Ok(Key { kid: None, any_kid: true, algorithms, material })
}

/// A public key of any kind.
fn pem(text: &str, pinned: Option<&[Algorithm]>) -> Result<Key, String> {
    if text.contains("PRIVATE KEY") {
        return Err("it is a private key; give the public key, or the private key as a JWK".to_owned());
    }
    let rsa = || RSAPublicKey::from_pem(text).map(|key| Material::Rsa(Box::new(key))).ok();
    let p256 = || P256PublicKey::from_pem(text).map(Material::P256).ok();
    let p384 = || P384PublicKey::from_pem(text).map(Material::P384).ok();
    let ed25519 = || Edwards25519PublicKey::from_pem(text).map(Material::Ed25519).ok();
    let material = p256().or_else(p384).or_else(ed25519).or_else(rsa);
    let material = material.ok_or(
        "it is no public key in PEM: RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519 (a certificate is none)",
    )?;
    Ok(Key { kid: None, any_kid: true, algorithms: allowed(&material, pinned), material })
}

/// The keys of a JWKS, or the one of a JWK.
fn jwks(text: &str, pinned: Option<&[Algorithm]>, source: Source) -> Result<Vec<Key>, String> {
    let object = unique_json::object(text.as_bytes())
        .ok_or("it is no JSON object, or one that says something twice")?;
    let list = match object.get("keys") {
        Some(Json::Array(keys)) => keys.iter().filter_map(Json::as_object).take(MOST_KEYS).collect(),
        Some(_) => return Err("its `keys` is no array".to_owned()),
        None => vec![&object],
    };
    let (mut keys, mut reasons) = (Vec::new(), Vec::new());
    for jwk in list {
        match key(jwk, pinned) {
            Ok(Key { material: Material::Secret(_), .. }) if source == Source::Published => {
                reasons.push("a shared secret is nothing to publish");
            }
            Ok(key) => keys.push(key),
            Err(reason) => reasons.push(reason),
        }
    }
    match (keys.is_empty(), reasons.first()) {
        (false, _) => Ok(keys),
        (true, Some(reason)) => Err(format!("none of its keys is for signatures here: {reason}")),
        (true, None) => Err("it has no keys".to_owned()),
    }
}

fn key(jwk: &Map<String, Json>, pinned: Option<&[Algorithm]>) -> Result<Key, &'static str> {
    let text = |name: &str| jwk.get(name).and_then(Json::as_str);
    if jwk.get("use").is_some_and(|of| of != "sig") {
        return Err("its `use` is not sig");
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
        if !operations.iter().any(|operation| operation == "verify" || operation == "sign") {
            return Err("its `key_ops` do not have verify");
        }
    }
    let material = material(jwk)?;
    let mut algorithms = allowed(&material, pinned);
    if let Some(name) = jwk.get("alg") {
        let own = name.as_str().and_then(Algorithm::named).ok_or("its `alg` is not known")?;
        algorithms.retain(|algorithm| *algorithm == own);
    }
    Ok(Key { kid: text("kid").map(str::to_owned), any_kid: false, algorithms, material })
}

fn material(jwk: &Map<String, Json>) -> Result<Material, &'static str> {
    let text = |name: &str| jwk.get(name).and_then(Json::as_str);
    let bytes =
        |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
    let wrong = "a number of it is missing or wrong";
    match (text("kty"), text("crv")) {
        (Some("oct"), _) => {
            let secret = bytes("k").ok_or(wrong)?;
            if secret.len() < 16 {
                return Err("its secret is shorter than 16 bytes");
            }
            Ok(Material::Secret(SharedSecret::new(&secret)))
        }
        (Some("RSA"), _) => {
            let (n, e) = (bytes("n").ok_or(wrong)?, bytes("e").ok_or(wrong)?);
            // jwt-simple looks at the last byte of it.
            if n.is_empty() || e.is_empty() {
                return Err(wrong);
            }
            let key = RSAPublicKey::from_components(&n, &e);
            key.map(|key| Material::Rsa(Box::new(key)))
                .map_err(|_| "RSA keys have 2048 to 4096 bits and the exponent 65537")
        }
        (Some("EC"), Some("P-256")) => {
            let point = point(bytes("x"), bytes("y"), 32).ok_or(wrong)?;
            P256PublicKey::from_bytes(&point).map(Material::P256).map_err(|_| wrong)
        }
        (Some("EC"), Some("P-384")) => {
            let point = point(bytes("x"), bytes("y"), 48).ok_or(wrong)?;
            P384PublicKey::from_bytes(&point).map(Material::P384).map_err(|_| wrong)
        }
        (Some("OKP"), Some("Ed25519")) => {
            let key = Edwards25519PublicKey::from_bytes(&bytes("x").ok_or(wrong)?);
            key.map(Material::Ed25519).map_err(|_| wrong)
        }
        _ => Err("its `kty` and `crv` are not known"),
    }
}

/// An uncompressed point (SEC 1 section 2.3.3).
fn point(x: Option<Vec<u8>>, y: Option<Vec<u8>>, size: usize) -> Option<Vec<u8>> {
    let (x, y) = (x?, y?);
    (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), &y].concat())
}

fn allowed(material: &Material, pinned: Option<&[Algorithm]>) -> Vec<Algorithm> {
    let own = material.algorithms().iter().copied();
    own.filter(|algorithm| pinned.is_none_or(|pinned| pinned.contains(algorithm))).collect()
}

/// Base64 of either alphabet, with padding or without.
pub fn any_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .iter()
        .find_map(|base64| base64.decode(&text).ok())
}
