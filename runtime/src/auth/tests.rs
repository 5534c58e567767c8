//! Tokens and credentials, good and forged. The tests of every engine are in `tests/tests/auth.rs`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use expect_test::{Expect, expect};
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike as _, ECDSAP384KeyPairLike as _, ES256KeyPair, ES384KeyPair, Ed25519KeyPair,
    EdDSAKeyPairLike as _, HS256Key, HS384Key, HS512Key, MACLike, RS256KeyPair, RSAKeyPair,
    RSAKeyPairLike as _,
};
use p256::ecdsa::signature::Signer as _;
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;

use serde_json::Value as Json;

use super::config::Reference;
use super::*;

const SECRET: &str = "reallyreallyreallyreallyverysafe";
const NOW: Seconds = 1_800_000_000;

/// From files, because to make keys of RSA takes long.
static RSA: LazyLock<RS256KeyPair> =
    LazyLock::new(|| RS256KeyPair::from_pem(include_str!("../../../tests/keys/rsa.pem")).expect("a key"));
static RSA2: LazyLock<RS256KeyPair> =
    LazyLock::new(|| RS256KeyPair::from_pem(include_str!("../../../tests/keys/rsa2.pem")).expect("a key"));

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn token(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", encode(signature))
}

fn hs256(claims: &str) -> String {
    token(r#"{"alg":"HS256","typ":"JWT"}"#, claims, |text| {
        tag(&HS256Key::from_bytes(SECRET.as_bytes()), text)
    })
}

fn tag(key: &impl MACLike, text: &[u8]) -> Vec<u8> {
    key.authentication_tag(text)
}

fn rsa_signature(key: &RSAKeyPair, digest: MessageDigest, padding: Padding, text: &[u8]) -> Vec<u8> {
    let key = PKey::from_rsa(key.as_ref().clone()).expect("a key");
    let mut signer = superboring::sign::Signer::new(digest, &key).expect("a signer");
    signer.set_rsa_padding(padding).expect("padding");
    signer.update(text).expect("a digest");
    signer.sign_to_vec().expect("a signature")
}

fn authenticator(config: &str) -> Authenticator {
    with_files(config, &[])
}

fn with_files(config: &str, files: &[(&str, &str)]) -> Authenticator {
    let config = Config::load("", config, []).expect(config);
    let mut read = |reference: Reference<'_>| {
        let (Reference::Env(name) | Reference::File(name)) = reference;
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("no {name}"))
    };
    Authenticator::new(&config, [7; 32], &mut read).unwrap_or_else(|error| panic!("{error}"))
}

fn with_headers(authenticator: &Authenticator, headers: &[(&str, &str)], now: Seconds) -> Verdict {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
    authenticator.authenticate(&Request { method: "GET", target: "/", headers: &headers, body: b"" }, now)
}

/// The role and `sub`, or the error's code, message and details.
fn show(authenticator: &Authenticator, verdict: Verdict, now: Seconds) -> String {
    let error = match verdict {
        Verdict::Is(identity) => {
            let sub = identity.claims.get("sub").map(|sub| format!(" {sub}")).unwrap_or_default();
            return format!("{}{sub}", identity.role.as_deref().unwrap_or("(no role)"));
        }
        Verdict::CheckPassword(check) => match authenticator.check_password(&check, now) {
            Ok(identity) => return show(authenticator, Verdict::Is(identity), now) + " (checked)",
            Err(error) => error,
        },
        Verdict::FetchKeys(error) => return format!("fetch, else {}", error.problem().code),
        Verdict::Refused(error) => error,
    };
    let problem = error.problem();
    let details = problem.details.as_str().map(|details| format!(": {details}")).unwrap_or_default();
    format!("{} {}{details}", problem.code, problem.message)
}

fn bearer(authenticator: &Authenticator, token: &str) -> String {
    let value = format!("Bearer {token}");
    show(authenticator, with_headers(authenticator, &[("authorization", &value)], NOW), NOW)
}

const HS: &str = "[auth.jwt]\nsecret = \"reallyreallyreallyreallyverysafe\"\n";

fn check_with(extra: &str, token: &str, expected: Expect) {
    expected.assert_eq(&bearer(&authenticator(&format!("{HS}{extra}")), token));
}

fn check(token: &str, expected: Expect) {
    check_with("", token, expected);
}

const BAD: &str = "PGRST301 No suitable key or wrong key type: None of the keys was able to decode the JWT";
const UNREADABLE: &str = "PGRST301 JWT cryptographic operation failed";

#[test]
fn shared_secrets_of_every_length() {
    for (name, signature) in [
        ("HS256", (|text| tag(&HS256Key::from_bytes(SECRET.as_bytes()), text)) as fn(&[u8]) -> Vec<u8>),
        ("HS384", |text| tag(&HS384Key::from_bytes(SECRET.as_bytes()), text)),
        ("HS512", |text| tag(&HS512Key::from_bytes(SECRET.as_bytes()), text)),
    ] {
        let authenticator = authenticator(&format!("{HS}algorithm = \"{name}\"\n"));
        let good = token(&format!("{{\"alg\":\"{name}\"}}"), r#"{"role":"a","sub":7}"#, signature);
        assert_eq!(bearer(&authenticator, &good), "a 7", "{name}");
        all_bits(&authenticator, &good);
    }
}

/// Every change of the text of a good token makes it a wrong one.
fn all_bits(authenticator: &Authenticator, good: &str) {
    for at in 0..good.len() {
        let mut changed = good.as_bytes().to_vec();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(bearer(authenticator, &changed).starts_with("PGRST30"), "{changed}");
    }
    let (text, signature) = good.rsplit_once('.').expect("three parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    for wrong in [encode(&bytes[1..]), encode(&bytes[..bytes.len() - 1]), String::new(), signature.repeat(2)]
    {
        assert_eq!(bearer(authenticator, &format!("{text}.{wrong}")), BAD);
    }
    bytes.push(0);
    for wrong in [encode(&bytes), format!("{signature}="), format!("{signature} ="), format!("{signature}A")]
    {
        assert!(bearer(authenticator, &format!("{text}.{wrong}")).starts_with("PGRST301"), "{wrong}");
    }
}

#[test]
fn signatures_of_rsa() {
    let public = RSA.public_key().to_pem().expect("PEM");
    let jwk = RSA.public_key().to_jwk().replace(r#""alg":"RS256","#, "");
    for (name, digest, padding) in [
        ("RS256", MessageDigest::sha256(), Padding::PKCS1),
        ("RS384", MessageDigest::sha384(), Padding::PKCS1),
        ("RS512", MessageDigest::sha512(), Padding::PKCS1),
        ("PS256", MessageDigest::sha256(), Padding::PKCS1_PSS),
        ("PS384", MessageDigest::sha384(), Padding::PKCS1_PSS),
        ("PS512", MessageDigest::sha512(), Padding::PKCS1_PSS),
    ] {
        let header = format!("{{\"alg\":\"{name}\"}}");
        let sign = |key: &RS256KeyPair| {
            token(&header, r#"{"role":"a"}"#, |text| {
                rsa_signature(key.key_pair(), digest.clone(), padding, text)
            })
        };
        let (good, other) = (sign(&RSA), sign(&RSA2));
        for secret in [&public, &jwk] {
            let authenticator =
                authenticator(&format!("[auth.jwt]\nalgorithm = \"{name}\"\nsecret = '''{secret}'''\n"));
            assert_eq!(bearer(&authenticator, &good), "a", "{name}");
            assert_eq!(bearer(&authenticator, &other), BAD, "{name}");
            // The same signature under another name.
            for wrong in
                ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].iter().filter(|wrong| **wrong != name)
            {
                let (_, rest) = good.split_once('.').expect("parts");
                let renamed = format!("{}.{rest}", encode(format!("{{\"alg\":\"{wrong}\"}}")));
                assert!(bearer(&authenticator, &renamed).starts_with("PGRST301"), "{name} as {wrong}");
            }
        }
        // Without a pinned algorithm all of the kind are served.
        assert_eq!(bearer(&authenticator(&format!("[auth.jwt]\nsecret = '''{public}'''\n")), &good), "a");
    }
}

type Signer = dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn signatures_of_curves() {
    let (p256, p384, ed) = (ES256KeyPair::generate(), ES384KeyPair::generate(), Ed25519KeyPair::generate());
    let keys: [(&str, String, String, Box<Signer>); 3] = [
        ("ES256", p256.public_key().to_pem().expect("PEM"), p256.public_key().to_jwk(), {
            let key = p256.key_pair().as_ref().clone();
            Box::new(move |text| {
                let signature: p256::ecdsa::Signature = key.sign(text);
                signature.to_vec()
            })
        }),
        ("ES384", p384.public_key().to_pem().expect("PEM"), p384.public_key().to_jwk(), {
            let key = p384.key_pair().as_ref().clone();
            Box::new(move |text| {
                let signature: p384::ecdsa::Signature = key.sign(text);
                signature.to_vec()
            })
        }),
        ("EdDSA", ed.public_key().to_pem(), ed.public_key().to_jwk(), {
            let key = ed.key_pair().as_ref().clone();
            Box::new(move |text| key.sk.sign(text, None).as_ref().to_vec())
        }),
    ];
    for (name, pem, jwk, sign) in &keys {
        let good = token(&format!("{{\"alg\":\"{name}\"}}"), r#"{"role":"a"}"#, sign);
        for secret in [pem, jwk, &format!("{{\"keys\":[{jwk}]}}")] {
            let authenticator = authenticator(&format!("[auth.jwt]\nsecret = '''{secret}'''\n"));
            assert_eq!(bearer(&authenticator, &good), "a", "{name}");
            all_bits(&authenticator, &good);
            // A key of one curve serves no other algorithm.
            for (other, _, _, sign) in keys.iter().filter(|(other, ..)| other != name) {
                let wrong = token(&format!("{{\"alg\":\"{other}\"}}"), r#"{"role":"a"}"#, sign);
                assert!(
                    bearer(&authenticator, &wrong).contains("No suitable key was found"),
                    "{name} {other}"
                );
            }
            let size = if *name == "ES384" { 96 } else { 64 };
            for bytes in [vec![0; size], vec![0xff; size], vec![1; size]] {
                let (text, _) = good.rsplit_once('.').expect("parts");
                assert_eq!(bearer(&authenticator, &format!("{text}.{}", encode(bytes))), BAD, "{name}");
            }
        }
    }
}

#[test]
fn the_other_of_two_scalars() {
    // EdDSA: s + L is the same number to a careless verifier.
    let key = Ed25519KeyPair::generate();
    let good = token(r#"{"alg":"EdDSA"}"#, r#"{"role":"a"}"#, |text| {
        let mut signature = key.key_pair().as_ref().sk.sign(text, None).as_ref().to_vec();
        let order = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10u8,
        ];
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        signature
    });
    let jwk = key.public_key().to_jwk();
    assert_eq!(bearer(&authenticator(&format!("[auth.jwt]\nsecret = '{jwk}'\n")), &good), BAD);
}

#[test]
fn algorithms_that_a_token_would_like() {
    let none = "PGRST301 Wrong or unsupported encoding algorithm: JWT is unsecured but expected 'alg' was not 'none'";
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = format!("{{\"alg\":\"{name}\"}}");
        for signature in ["", "x", "AAAA"] {
            let text = format!("{}.{}.{signature}", encode(&header), encode(r#"{"role":"admin"}"#));
            assert_eq!(bearer(&authenticator(HS), &text), none);
        }
    }
    // Signed with the public key as if it were a secret.
    for pem in [
        RSA.public_key().to_pem().expect("PEM"),
        ES256KeyPair::generate().public_key().to_pem().expect("PEM"),
    ] {
        let authenticator = authenticator(&format!("[auth.jwt]\nsecret = '''{pem}'''\n"));
        for secret in [pem.as_str(), pem.trim(), &pem.replace('\n', "\r\n")] {
            let forged =
                token(r#"{"alg":"HS256"}"#, "{}", |text| tag(&HS256Key::from_bytes(secret.as_bytes()), text));
            assert!(bearer(&authenticator, &forged).contains("No suitable key was found"));
        }
    }
    let sign = |text: &[u8]| tag(&HS256Key::from_bytes(SECRET.as_bytes()), text);
    check(
        &token(r#"{"alg":"HS512"}"#, "{}", sign),
        expect!["PGRST301 No suitable key or wrong key type: No suitable key was found to decode the JWT"],
    );
    check(
        &token(r#"{"alg":"HS128"}"#, "{}", sign),
        expect![
            "PGRST301 Wrong or unsupported encoding algorithm: JWT is signed by an 'alg' that is not known"
        ],
    );
    check(
        &token(r#"{"alg":"hs256"}"#, "{}", sign),
        expect![
            "PGRST301 Wrong or unsupported encoding algorithm: JWT is signed by an 'alg' that is not known"
        ],
    );
    check_with(
        "algorithm = [\"HS384\", \"HS512\"]\n",
        &hs256("{}"),
        expect![
            "PGRST301 Wrong or unsupported encoding algorithm: JWT is signed but not by the 'alg' that was expected"
        ],
    );
}

#[test]
fn headers() {
    let sign = |text: &[u8]| tag(&HS256Key::from_bytes(SECRET.as_bytes()), text);
    for header in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"alg":1}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","kid":7}"#,
        "\u{feff}{\"alg\":\"HS256\"}",
    ] {
        assert_eq!(
            bearer(&authenticator(HS), &token(header, r#"{"role":"a"}"#, sign)),
            UNREADABLE,
            "{header}"
        );
    }
    let deep = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
    assert_eq!(bearer(&authenticator(HS), &token(&deep, "{}", sign)), UNREADABLE);
    // A key that a token brings along is none; a `kid` is compared and nothing else.
    let own = HS256Key::from_bytes(b"a secret of somebody else's, long enough");
    for header in [
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"YSBzZWNyZXQgb2Ygc29tZWJvZHkgZWxzZSdzLCBsb25nIGVub3VnaA"}}"#,
        r#"{"alg":"HS256","jku":"https://evil.example/keys"}"#,
        r#"{"alg":"HS256","x5u":"https://evil.example/x","x5c":["AA"]}"#,
        r#"{"alg":"HS256","kid":"../../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"x' UNION SELECT 'a"}"#,
    ] {
        assert_eq!(bearer(&authenticator(HS), &token(header, "{}", |text| tag(&own, text))), BAD, "{header}");
    }
    check(
        &token(r#"{"typ":"at+jwt","alg":"HS256","cty":"x","unknown":{}}"#, r#"{"role":"a"}"#, sign),
        expect!["a"],
    );
}

#[test]
fn parts() {
    check("", expect!["PGRST301 Empty JWT is sent in Authorization header"]);
    check("abc", expect!["PGRST301 Expected 3 parts in JWT; got 1"]);
    check("a.b", expect!["PGRST301 Expected 3 parts in JWT; got 2"]);
    check("a.b.c.d", expect!["PGRST301 Expected 3 parts in JWT; got 4"]);
    check("a.b.c.d.e", expect!["PGRST301 Expected 3 parts in JWT; got 5"]);
    check("..", expect!["PGRST301 JWT cryptographic operation failed"]);
    check(
        "quifquirndsjagnrgniur.fonvoienqhhdj.iuqvnvhojah",
        expect!["PGRST301 JWT cryptographic operation failed"],
    );
    check(&"a".repeat(100_000), expect!["PGRST301 Expected 3 parts in JWT; got 1"]);
    check(
        &format!("{}.{}.{}", "a".repeat(9_000), "a".repeat(9_000), "a"),
        expect!["PGRST301 JWT cryptographic operation failed"],
    );
    let good = hs256(r#"{"role":"a"}"#);
    check(&format!("{good}\n"), expect!["a"]);
    check(
        &format!("{good}=="),
        expect!["PGRST301 No suitable key or wrong key type: None of the keys was able to decode the JWT"],
    );
    check(&good.replace('.', ".."), expect!["PGRST301 Expected 3 parts in JWT; got 5"]);
    // Bits behind the last byte of base64url.
    let (text, signature) = good.rsplit_once('.').expect("parts");
    let last = signature.chars().last().expect("a character");
    let next = char::from_u32(u32::from(last) + 1).expect("a character");
    check(
        &format!("{text}.{}{next}", &signature[..signature.len() - 1]),
        expect!["PGRST301 No suitable key or wrong key type: None of the keys was able to decode the JWT"],
    );
}

#[test]
fn claims() {
    check(&hs256(r#"{"role":"a","sub":"x"}"#), expect![[r#"a "x""#]]);
    check(&hs256(r#"{"sub":"x"}"#), expect!["PGRST302 Anonymous access is disabled"]);
    check(&hs256("[]"), expect!["PGRST303 Parsing claims failed"]);
    check(&hs256("x"), expect!["PGRST303 Parsing claims failed"]);
    check(&hs256(r#"{"role":"a","role":"b"}"#), expect!["PGRST303 Parsing claims failed"]);
    check(
        &hs256(&format!(r#"{{"role":"a","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500))),
        expect!["PGRST303 Parsing claims failed"],
    );
    let date = |name: &str, value: &str| hs256(&format!(r#"{{"role":"a","{name}":{value}}}"#));
    for name in ["exp", "nbf", "iat"] {
        for value in ["\"1\"", "true", "{}", "[1]"] {
            let expected = format!("PGRST303 The JWT '{name}' claim must be a number");
            assert_eq!(bearer(&authenticator(HS), &date(name, value)), expected);
        }
        assert_eq!(bearer(&authenticator(HS), &date(name, "null")), "a");
    }
    for (name, value, expected) in [
        ("exp", NOW - 30, "a"),
        ("exp", NOW - 31, "PGRST303 JWT expired"),
        ("exp", 0, "PGRST303 JWT expired"),
        ("exp", i64::MIN, "PGRST303 JWT expired"),
        ("exp", i64::MAX, "a"),
        ("nbf", NOW + 30, "a"),
        ("nbf", NOW + 31, "PGRST303 JWT not yet valid"),
        ("nbf", i64::MAX, "PGRST303 JWT not yet valid"),
        ("iat", NOW + 30, "a"),
        ("iat", NOW + 31, "PGRST303 JWT issued at future"),
    ] {
        assert_eq!(bearer(&authenticator(HS), &date(name, &value.to_string())), expected, "{name} {value}");
    }
    check(&date("exp", "1799999970.5"), expect!["a"]);
    check(&date("exp", "1e300"), expect!["a"]);
    check(&date("exp", "1e999"), expect!["PGRST303 Parsing claims failed"]);
    check_with("validate_exp = false\n", &date("exp", "\"x\""), expect!["a"]);
    check_with("validate_nbf = false\n", &date("nbf", "9999999999"), expect!["a"]);
    check_with("leeway = \"0s\"\n", &date("exp", "1799999999"), expect!["PGRST303 JWT expired"]);
    // Signature before claims, whatever they are.
    let forged = date("exp", "\"x\"");
    let (text, _) = forged.rsplit_once('.').expect("parts");
    check(
        &format!("{text}.AAAA"),
        expect!["PGRST301 No suitable key or wrong key type: None of the keys was able to decode the JWT"],
    );
}

#[test]
fn audiences_and_issuers() {
    let with = |claim: &str| hs256(&format!(r#"{{"role":"a"{claim}}}"#));
    let (one, several) = ("audience = \"us\"\n", "audience = [\"us\", \"them\"]\n");
    for (claim, expected) in [
        ("", "a"),
        (r#","aud":null"#, "a"),
        (r#","aud":[]"#, "a"),
        (r#","aud":"us""#, "a"),
        (r#","aud":["x","us"]"#, "a"),
        (r#","aud":"x""#, "PGRST303 JWT not in audience"),
        (r#","aud":["x"]"#, "PGRST303 JWT not in audience"),
        (r#","aud":"""#, "PGRST303 JWT not in audience"),
        (r#","aud":7"#, "PGRST303 The JWT 'aud' claim must be a string or an array of strings"),
        (r#","aud":["us",7]"#, "PGRST303 The JWT 'aud' claim must be a string or an array of strings"),
    ] {
        for config in [one, several] {
            assert_eq!(bearer(&authenticator(&format!("{HS}{config}")), &with(claim)), expected, "{claim}");
        }
        let other = if expected.contains("not in") { "a" } else { expected };
        assert_eq!(bearer(&authenticator(HS), &with(claim)), other, "{claim}");
    }
    check_with("audience = \"us\"\nvalidate_aud = false\n", &with(r#","aud":7"#), expect!["a"]);
    check_with(one, &with(r#","aud":"US""#), expect!["PGRST303 JWT not in audience"]);
    check_with("issuer = \"https://a\"\n", &with(r#","iss":"https://a""#), expect!["a"]);
    check_with("issuer = [\"https://b\", \"https://a\"]\n", &with(r#","iss":"https://a""#), expect!["a"]);
    check_with(
        "issuer = \"https://a\"\n",
        &with(r#","iss":"https://a/""#),
        expect!["PGRST303 JWT not from an accepted issuer"],
    );
    check_with(
        "issuer = \"https://a\"\n",
        &with(r#","iss":["https://a"]"#),
        expect!["PGRST303 JWT not from an accepted issuer"],
    );
    check_with("issuer = \"https://a\"\n", &with(""), expect!["PGRST303 JWT not from an accepted issuer"]);
    check_with("issuer = \"https://a\"\nvalidate_iss = false\n", &with(""), expect!["a"]);
}

#[test]
fn roles() {
    let anonymous = format!("[api]\nanonymous_role = \"anon\"\n{HS}");
    let own = |claims: &str| bearer(&authenticator(&anonymous), &hs256(claims));
    assert_eq!(own(r#"{"sub":"x"}"#), "anon \"x\"");
    assert_eq!(own(r#"{"role":null}"#), "anon");
    assert_eq!(own(r#"{"role":["admin"]}"#), "anon");
    assert_eq!(own(r#"{"role":"b"}"#), "b");
    check_with(
        "role_claim = \".a.roles[?(@ ^== \\\"ed\\\")]\"\n",
        &hs256(r#"{"role":"x","a":{"roles":["y","editor"]}}"#),
        expect!["editor"],
    );
    let authenticator = authenticator(&anonymous);
    let verdict = with_headers(&authenticator, &[("authorization", &format!("Bearer {}", hs256("{}")))], NOW);
    let Verdict::Is(identity) = verdict else { panic!("an identity") };
    assert_eq!(Json::Object(identity.claims.clone()).to_string(), r#"{"role":"anon"}"#);
    assert!(!identity.is_anonymous);
}

#[test]
fn what_is_remembered_ends_in_time() {
    let authenticator = authenticator(HS);
    let token =
        format!("Bearer {}", hs256(&format!(r#"{{"role":"a","nbf":{},"exp":{}}}"#, NOW - 10, NOW + 10)));
    let at = |now| show(&authenticator, with_headers(&authenticator, &[("authorization", &token)], now), now);
    for _ in 0..2 {
        assert_eq!(at(NOW - 40), "a");
        assert_eq!(at(NOW - 41), "PGRST303 JWT not yet valid");
        assert_eq!(at(NOW + 40), "a");
        assert_eq!(at(NOW + 41), "PGRST303 JWT expired");
        assert_eq!(at(i64::MAX), "PGRST303 JWT expired");
        assert_eq!(at(i64::MIN), "PGRST303 JWT not yet valid");
    }
}

#[test]
fn names_of_keys() {
    let secret = |text: &str| encode(text.repeat(32));
    let set = format!(
        r#"{{"keys":[{{"kty":"oct","kid":"one","k":"{}"}},{{"kty":"oct","kid":"two","k":"{}","alg":"HS384"}},{{"kty":"oct","k":"{}"}},{{"kty":"XX"}}]}}"#,
        secret("1"),
        secret("2"),
        secret("3")
    );
    let authenticator = authenticator(&format!("[auth.jwt]\nsecret = '{set}'\n"));
    let own = |kid: &str, text: &str| {
        let kid = if kid.is_empty() { String::new() } else { format!(r#","kid":"{kid}""#) };
        let key = HS256Key::from_bytes(text.repeat(32).as_bytes());
        bearer(
            &authenticator,
            &token(&format!(r#"{{"alg":"HS256"{kid}}}"#), r#"{"role":"a"}"#, |text| tag(&key, text)),
        )
    };
    let nobody = "PGRST301 No suitable key or wrong key type: No suitable key was found to decode the JWT";
    assert_eq!(own("one", "1"), "a");
    assert_eq!(own("", "1"), "a");
    assert_eq!(own("", "3"), "a");
    assert_eq!(own("one", "3"), BAD);
    // Its own `alg` is another.
    assert_eq!(own("two", "2"), nobody);
    assert_eq!(own("", "2"), BAD);
    assert_eq!(own("three", "3"), nobody);
}

#[test]
fn keys_that_cannot_be() {
    let check = |jwt: &str, expected: Expect| {
        let config = Config::load("", &format!("[auth.jwt]\n{jwt}"), []).expect(jwt);
        let read: &mut Reader<'_> = &mut |_| Err("there is none".to_owned());
        let error = Authenticator::new(&config, [0; 32], read).err().expect(jwt).0;
        assert!(!error.contains("hush"), "{error}");
        expected.assert_eq(&error);
    };
    check("secret = \"hush, too short\"\n", expect!["auth.jwt.secret: it is shorter than 32 bytes"]);
    check("secret = \"hush!\"\nsecret_is_base64 = true\n", expect!["auth.jwt.secret: it is not base64"]);
    check(
        "secret = \"aHVzaA==\"\nsecret_is_base64 = true\n",
        expect!["auth.jwt.secret: it is shorter than 32 bytes"],
    );
    check("secret = \"env:NAME\"\n", expect!["auth.jwt.secret: there is none"]);
    check(
        "secret = '{\"kty\":\"oct\"}'\n",
        expect![
            "auth.jwt.secret: none of its keys is for signatures here: a number of it is missing or wrong"
        ],
    );
    check("secret = '{\"keys\":[]}'\n", expect!["auth.jwt.secret: it has no keys"]);
    check("secret = '{\"keys\":{}}'\n", expect!["auth.jwt.secret: its `keys` is no array"]);
    check(
        "secret = '{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}'\n",
        expect![
            "auth.jwt.secret: none of its keys is for signatures here: a number of it is missing or wrong"
        ],
    );
    check(
        "secret = '{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}'\n",
        expect![
            "auth.jwt.secret: none of its keys is for signatures here: RSA keys have 2048 to 4096 bits and the exponent 65537"
        ],
    );
    check(
        "secret = '{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}'\n",
        expect![
            "auth.jwt.secret: none of its keys is for signatures here: a number of it is missing or wrong"
        ],
    );
    check(
        &format!("secret = '{{\"kty\":\"oct\",\"k\":\"{}\",\"use\":\"enc\"}}'\n", "A".repeat(43)),
        expect!["auth.jwt.secret: none of its keys is for signatures here: its `use` is not sig"],
    );
    check(
        &format!("secret = '{{\"kty\":\"oct\",\"k\":\"{}\",\"key_ops\":[\"encrypt\"]}}'\n", "A".repeat(43)),
        expect!["auth.jwt.secret: none of its keys is for signatures here: its `key_ops` do not have verify"],
    );
    check(
        &format!(
            "secret = '{{\"kty\":\"oct\",\"k\":\"{}\",\"alg\":\"HS512\"}}'\nalgorithm = \"HS256\"\n",
            "A".repeat(43)
        ),
        expect!["auth.jwt.secret: it is a key of another kind than auth.jwt.algorithm wants"],
    );
    check(
        "secret = \"-----BEGIN PRIVATE KEY-----hush\"\n",
        expect!["auth.jwt.secret: it is a private key; give the public key, or the private key as a JWK"],
    );
    check(
        "secret = \"-----BEGIN CERTIFICATE-----hush\"\n",
        expect![
            "auth.jwt.secret: it is no public key in PEM: RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519 (a certificate is none)"
        ],
    );
    check(
        "secret = \"reallyreallyreallyreallyverysafe\"\nalgorithm = \"RS256\"\n",
        expect!["auth.jwt.secret: it is a key of another kind than auth.jwt.algorithm wants"],
    );
}

#[test]
fn secrets_as_base64() {
    for secret in [
        STANDARD.encode(SECRET),
        encode(SECRET),
        encode(format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(SECRET))),
    ] {
        let authenticator =
            authenticator(&format!("[auth.jwt]\nsecret = \"{secret}\"\nsecret_is_base64 = true\n"));
        assert_eq!(bearer(&authenticator, &hs256(r#"{"role":"a"}"#)), "a");
    }
    let authenticator = with_files("[auth.jwt]\nsecret = \"file:key\"\n", &[("key", &format!("{SECRET}\n"))]);
    assert_eq!(bearer(&authenticator, &hs256(r#"{"role":"a"}"#)), "a");
}

#[test]
fn published_keys() {
    let authenticator = authenticator("[auth.jwt]\njwks_url = \"https://issuer.example/keys\"\n");
    let (first, second) =
        (Ed25519KeyPair::generate().with_key_id("1"), Ed25519KeyPair::generate().with_key_id("2"));
    let sign = |key: &Ed25519KeyPair, kid: &str| {
        token(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), r#"{"role":"a"}"#, |text| {
            key.key_pair().as_ref().sk.sign(text, None).as_ref().to_vec()
        })
    };
    let (one, two) = (sign(&first, "1"), sign(&second, "2"));
    assert_eq!(bearer(&authenticator, &one), "fetch, else PGRST300");
    let set = |keys: &[&Ed25519KeyPair]| {
        let keys: Vec<_> = keys.iter().map(|key| key.public_key().to_jwk()).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    };
    authenticator.take_keys(&set(&[&first])).expect("keys");
    assert_eq!(bearer(&authenticator, &one), "a");
    assert_eq!(bearer(&authenticator, &two), "fetch, else PGRST301");
    // What is no set changes nothing.
    for wrong in [
        "",
        "{}",
        "<html>",
        "{\"keys\":[]}",
        r#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
    ] {
        authenticator.take_keys(wrong).expect_err(wrong);
        assert_eq!(bearer(&authenticator, &one), "a");
    }
    authenticator.take_keys(&set(&[&second])).expect("keys");
    assert_eq!(bearer(&authenticator, &two), "a");
    // Also one that was remembered.
    assert_eq!(bearer(&authenticator, &one), "fetch, else PGRST301");
    // A wrong signature is no reason to fetch.
    assert_eq!(bearer(&authenticator, &sign(&first, "2")), BAD);
}

#[test]
fn who_may_come_in_without() {
    let nobody = |config: &str| {
        let authenticator = authenticator(config);
        show(&authenticator, with_headers(&authenticator, &[], NOW), NOW)
    };
    assert_eq!(nobody(""), "(no role)");
    assert_eq!(nobody("[api]\nanonymous_role = \"anon\"\n"), "anon");
    assert_eq!(nobody(HS), "PGRST302 Anonymous access is disabled");
    assert_eq!(nobody(&format!("[api]\nanonymous_role = \"anon\"\n{HS}")), "anon");
    let preflight: &[(&str, &[u8])] = &[("origin", b"x"), ("access-control-request-method", b"GET")];
    let request = Request { method: "OPTIONS", target: "/", headers: preflight, body: b"" };
    assert!(matches!(authenticator(HS).authenticate(&request, NOW), Verdict::Is(_)));
    // Where credentials are not looked at, none is wrong.
    for config in ["", "[auth]\nenabled = false\n[auth.jwt]\nsecret = \"reallyreallyreallyreallyverysafe\"\n"]
    {
        assert_eq!(bearer(&authenticator(config), "x"), "(no role)");
    }
    assert_eq!(bearer(&authenticator("[auth.jwt]\n"), "a.b.c"), UNREADABLE);
    assert_eq!(bearer(&authenticator("[auth.jwt]\n"), &hs256("{}")), "PGRST300 Server lacks JWT secret");
    assert_eq!(
        bearer(&authenticator("[auth.jwt]\nenabled = false\n"), &hs256("{}")),
        "PGRST301 The scheme of the Authorization header is not enabled"
    );
}

const USERS: &str = r#"
[[user]]
name = "ida"
password = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$HASH"
role = "editor"
claims = { team = "a" }
"#;

fn users() -> String {
    let mut out = [0; 32];
    let params = argon2::Params::new(8, 1, 1, None).expect("params");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon2.hash_password_into("pass:wörd".as_bytes(), b"saltsalt", &mut out).expect("a hash");
    USERS.replace("HASH", &base64::engine::general_purpose::STANDARD_NO_PAD.encode(out))
}

#[test]
fn passwords() {
    let config = "[auth.basic]\nsource = \"file:users\"\n";
    let authenticator = with_files(config, &[("users", &users())]);
    let sign_in_at = |text: &str, now| {
        let value = format!("Basic {}", STANDARD.encode(text));
        show(&authenticator, with_headers(&authenticator, &[("authorization", &value)], now), now)
    };
    let sign_in = |text: &str| sign_in_at(text, NOW);
    assert_eq!(sign_in("ida:pass:wörd"), "editor \"ida\" (checked)");
    assert_eq!(sign_in("ida:pass:wörd"), "editor \"ida\"");
    assert_eq!(sign_in_at("ida:pass:wörd", NOW + 60), "editor \"ida\" (checked)");
    let wrong = "PGRST301 The user name or the password is wrong";
    for text in ["ida:pass:word", "ida:", "ida:pass:wörd ", "Ida:pass:wörd", "bob:pass:wörd", ":", "", "ida"]
    {
        assert_eq!(sign_in(text), wrong, "{text}");
    }
    assert_eq!(sign_in(&format!("ida:{}", "x".repeat(2000))), wrong);
    // What was remembered goes with the list.
    authenticator.take_users(&users().replace("ida", "bob")).expect("users");
    assert_eq!(sign_in("ida:pass:wörd"), wrong);
    assert_eq!(sign_in("bob:pass:wörd"), "editor \"bob\" (checked)");
    authenticator.take_users("[[user]]\nname = 1\n").expect_err("a broken list");
    assert_eq!(sign_in("bob:pass:wörd"), "editor \"bob\"");
}

#[test]
fn lists_of_users_that_cannot_be() {
    let check = |text: &str, expected: Expect| {
        let error = Users::read(text).expect_err(text);
        assert!(!error.contains("hush"), "{error}");
        expected.assert_eq(&error);
    };
    check(
        "[[user]]\nname = \"a\"\npassword = \"hush\"\nrole = \"r\"\n",
        expect![[
            r#"user "a": password is not the hash of a password: `sqlitrest user add` makes one ($argon2id$v=19$m=19456,t=2,p=1$…)"#
        ]],
    );
    check(
        &users().replace("m=8,t=1", "m=4194304,t=1"),
        expect![[r#"user "ida": password takes more memory or time than a request may have"#]],
    );
    check(
        &users().replace("argon2id", "argon2i"),
        expect![[
            r#"user "ida": password is not the hash of a password: `sqlitrest user add` makes one ($argon2id$v=19$m=19456,t=2,p=1$…)"#
        ]],
    );
    check(&users().replace("ida", "a:b"), expect![[r#"user "a:b": a name is not empty and has no colon"#]]);
    check(&(users() + &users()), expect![[r#"user "ida" is there twice"#]]);
    check(
        &users().replace("role", "rolle"),
        expect![
            "line 5: unknown field `rolle`, expected one of `name`, `password`, `role`, `subject`, `claims`"
        ],
    );
    check(&users().replace("role = \"editor\"", ""), expect!["line 2: missing field `role`"]);
}

#[test]
fn keys_in_header_fields() {
    let key = "sqr_ci_a-long_secret";
    let list = format!("[[key]]\nid = \"ci\"\nrole = \"bot\"\nhash = \"{}\"\n", api_key::stored_hash(key));
    let config = format!("[auth.apikey]\nsource = \"file:keys\"\n{HS}");
    let authenticator = with_files(&config, &[("keys", &list)]);
    let sign_in =
        |headers: &[(&str, &str)]| show(&authenticator, with_headers(&authenticator, headers, NOW), NOW);
    let token = format!("Bearer {}", hs256(r#"{"role":"a"}"#));
    assert_eq!(sign_in(&[("x-api-key", key)]), "bot");
    assert_eq!(sign_in(&[("authorization", &format!("Bearer {key}"))]), "bot");
    assert_eq!(sign_in(&[("x-api-key", "sqr_ci_x")]), "PGRST301 The API key is not valid");
    assert_eq!(sign_in(&[("x-api-key", "")]), "PGRST301 The API key is not valid");
    // The first decides: the other is not looked at, and does not help.
    assert_eq!(sign_in(&[("x-api-key", key), ("authorization", &token)]), "a");
    assert_eq!(sign_in(&[("x-api-key", "wrong"), ("authorization", &token)]), "a");
    assert!(sign_in(&[("x-api-key", key), ("authorization", "Bearer a.b.c")]).starts_with("PGRST301"));
    authenticator.take_api_keys("[[key]]\n").expect_err("a broken list");
    assert_eq!(sign_in(&[("x-api-key", key)]), "bot");
    authenticator.take_api_keys("").expect("an empty list");
    assert_eq!(sign_in(&[("x-api-key", key)]), "PGRST301 The API key is not valid");
}

#[test]
fn keys_stored_as_argon2() {
    let list = users()
        .replace("[[user]]", "[[key]]")
        .replace("name = \"ida\"", "id = \"slow\"")
        .replace("password", "hash");
    let authenticator = with_files("[auth.apikey]\nsource = \"file:keys\"\n", &[("keys", &list)]);
    let sign_in =
        |key: &str| show(&authenticator, with_headers(&authenticator, &[("x-api-key", key)], NOW), NOW);
    assert_eq!(sign_in("sqr_slow_x"), "PGRST301 The API key is not valid");
    assert_eq!(sign_in("pass:wörd"), "PGRST301 The API key is not valid");
}
